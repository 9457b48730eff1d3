package simulator_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/echostr/echostr/simulator"
)

// TestStoryPath: a handler that listens at another path than that of the story is the
// commonest mistake, and what fails says what to do.
func TestStoryPath(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/wx/demo", parrot)
	const hint = "The story pushes to the path /wx: set StoryConfig.Official.Account.URL to the path of the handler."
	stage := &stage{t: t}
	ming := simulator.Start(stage, mux, nil).User("小明")
	ming.Says("你好")
	ming.SeesText("你说了 你好")
	if len(stage.errors) != 1 || !strings.Contains(stage.errors[0], hint) {
		t.Errorf("%q", stage.errors)
	}

	var c simulator.StoryConfig
	c.Official.Account.URL = "http://localhost/wx/demo"
	ming = simulator.Start(t, mux, &c).User("小明")
	ming.Says("你好")
	ming.SeesText("你说了 你好")
}
