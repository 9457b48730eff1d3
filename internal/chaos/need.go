package chaos

import (
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/echostr/echostr/internal/pgtest"
)

// What a scenario may need. ECHOSTR_TEST_REQUIRE lists these names, with commas.
const (
	needRoot     = "root"
	needLoop     = "loop"
	needMkfs     = "mkfs.ext4"
	needStrace   = "strace"
	needPostgres = "postgres"
)

// missing says how a need is not met, and how to meet it; empty if it is.
func missing(need string) string {
	switch need {
	case needRoot:
		if os.Geteuid() != 0 {
			return "root is missing: run it as root, for mounting"
		}
	case needLoop:
		if _, err := os.Stat("/dev/loop-control"); err != nil {
			return "loop devices are missing: /dev/loop-control is not there; load the kernel module loop"
		}
	case needPostgres:
		return pgtest.Missing()
	case needMkfs, needStrace:
		if _, err := exec.LookPath(need); err != nil {
			return need + " is missing: apt-get install " + map[string]string{needMkfs: "e2fsprogs", needStrace: "strace"}[need]
		}
	}
	return ""
}

// lacks returns what the machine lacks for the scenario, and whether one of these must
// be there.
func (s *scenario) lacks() (list []string, required bool) {
	must := strings.Split(os.Getenv("ECHOSTR_TEST_REQUIRE"), ",")
	for _, need := range s.needs {
		if what := missing(need); what != "" {
			list = append(list, what)
			required = required || slices.Contains(must, need)
		}
	}
	return list, required
}
