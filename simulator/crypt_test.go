package simulator

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func readVectors(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../testdata/vectors", path))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

func TestCryptoVectors(t *testing.T) {
	t.Parallel()
	var all []struct {
		Name, Expect, Token, EncodingAESKey, AppID, Timestamp, Nonce, MsgSignature, Encrypted, Plaintext, RandomHex, Error string
	}
	readVectors(t, "crypto/vectors.json", &all)
	if len(all) < 65 {
		t.Errorf("only %d vectors", len(all))
	}
	for _, v := range all {
		if signed := sign(v.Token, v.Timestamp, v.Nonce, v.Encrypted) == v.MsgSignature; signed != (v.Error != "signature") {
			t.Errorf("%s: signature right: %v", v.Name, signed)
		}
		key, err := decodeKey(v.EncodingAESKey)
		if (err != nil) != (v.Error == "key") {
			t.Errorf("%s: key: %v", v.Name, err)
		}
		if err != nil || v.Error == "signature" {
			continue
		}
		got, err := open(key, v.Encrypted, v.AppID)
		if v.Expect != "accept" {
			if err == nil {
				t.Errorf("%s: opens to %q", v.Name, got)
			}
			continue
		}
		if err != nil || string(got) != v.Plaintext {
			t.Errorf("%s: %q, %v", v.Name, got, err)
		}
		random, err := hex.DecodeString(v.RandomHex)
		if err != nil {
			t.Fatal(err)
		}
		if got := sealPlain(key, random, []byte(v.Plaintext), v.AppID); got != v.Encrypted {
			t.Errorf("%s: sealed %s", v.Name, got)
		}
	}
}

func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	var all []struct {
		Name, Token, Timestamp, Nonce, Signature string
		OK                                       bool
	}
	readVectors(t, "signature/vectors.json", &all)
	for _, v := range all {
		if got := sign(v.Token, v.Timestamp, v.Nonce); (got == v.Signature) != v.OK {
			t.Errorf("%s: %s", v.Name, got)
		}
	}
}

// TestIndependent: what the simulator shared with the server it tests could be wrong in both.
func TestIndependent(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); strings.Contains(path, ".") && path != "github.com/boombuler/barcode/qr" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	c := Config{Account: safeAccount}
	r := send(t, c, Text("hi"), func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
	var out strings.Builder
	for _, v := range []any{c, safeAccount, newWeChat(t, c), r, r.Pushes[0], r.Verdict} {
		fmt.Fprintf(&out, "%v %+v %#v\n", v, v, v)
		json.NewEncoder(&out).Encode(r)
	}
	for _, secret := range []string{safeAccount.Token, safeAccount.EncodingAESKey} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is printed in:\n%s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), `"Outcome":"answered"`) || !strings.Contains(out.String(), `"Sees":"fault notice"`) {
		t.Errorf("JSON has no names: %s", out.String())
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := safeAccount
	if _, err := New(Config{Account: good}); err != nil {
		t.Fatal(err)
	}
	for name, modify := range map[string]func(*Account){
		"no URL":        func(a *Account) { a.URL = "" },
		"path only":     func(a *Account) { a.URL = "/wx/dev" },
		"other scheme":  func(a *Account) { a.URL = "ftp://host/" },
		"no token":      func(a *Account) { a.Token = "" },
		"no mode":       func(a *Account) { a.Mode = "" },
		"unknown mode":  func(a *Account) { a.Mode = "aes" },
		"no AppID":      func(a *Account) { a.AppID = "" },
		"no key":        func(a *Account) { a.EncodingAESKey = "" },
		"short key":     func(a *Account) { a.EncodingAESKey = a.EncodingAESKey[1:] },
		"bad character": func(a *Account) { a.EncodingAESKey = "!" + a.EncodingAESKey[1:] },
	} {
		a := good
		modify(&a)
		if _, err := New(Config{Account: a}); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), good.EncodingAESKey[2:10]) || strings.Contains(err.Error(), good.Token) {
			t.Errorf("%s: the error quotes a secret: %v", name, err)
		}
	}
}
