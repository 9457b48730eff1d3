package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/bots"
)

// TestSameAsBuiltIn lets this program and the built-in bot answer every sample.
func TestSameAsBuiltIn(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/vectors/messages/*.xml")
	if err != nil || len(files) < 100 {
		t.Fatalf("found %d samples: %v", len(files), err)
	}
	here, builtIn := bot(), bots.Sample()
	answered := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := echostr.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := here.Handle(t.Context(), m)
		want, wantErr := builtIn.Handle(t.Context(), m)
		if got != want || err != nil || wantErr != nil {
			t.Errorf("%s: %v, %v; the built-in bot answers %v, %v", filepath.Base(file), got, err, want, wantErr)
		}
		if got != nil {
			answered++
		}
	}
	if answered < 20 {
		t.Errorf("only %d of %d samples were answered", answered, len(files))
	}
}
