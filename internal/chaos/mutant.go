package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// mutant builds the bot from a copy of the source to which the patch of internal/mutants
// with this number is applied, and returns its path. It works in the source tree only.
func (r *run) mutant(ctx context.Context, number string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	patches, err := filepath.Glob(filepath.Join(root, "internal", "mutants", number+"-*.patch"))
	if err != nil {
		return "", err
	}
	if len(patches) != 1 {
		return "", fmt.Errorf("there are %d patches internal/mutants/%s-*.patch; run it in the source tree, or give another program with -bot", len(patches), number)
	}
	tree := filepath.Join(r.dir, "tree")
	if err := copySource(ctx, root, tree); err != nil {
		return "", fmt.Errorf("copy the source tree: %w", err)
	}
	bot := filepath.Join(r.dir, "wxchaos-"+number)
	for _, line := range [][]string{
		{"git", "apply", patches[0]},
		{"go", "build", "-o", bot, "./internal/chaos/wxchaos"},
	} {
		cmd := exec.CommandContext(ctx, line[0], line[1:]...)
		cmd.Dir = tree
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("make the mutant %s: %s: %w: %s", number, strings.Join(line, " "), err, out)
		}
	}
	r.say("the mutant %s is built", filepath.Base(patches[0]))
	return bot, nil
}

// copySource copies the files that git knows of, or would take.
func copySource(ctx context.Context, from, to string) error {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "-co", "--exclude-standard")
	cmd.Dir = from
	list, err := cmd.Output()
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and git has not been told
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(target, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
