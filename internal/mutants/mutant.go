package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mutant is one mistake, as a patch.
type mutant struct {
	Name   string // M1
	Title  string
	Breaks string
	Kills  []kill
	patch  []byte // the whole file; git apply passes over what is before the diff
}

// kill is a command that must find a mutant.
type kill struct {
	Invariants []string // any of these must be named
	Command    string
}

var (
	mutantName = regexp.MustCompile(`^M[0-9]+[a-z]?$`)
	invariant  = regexp.MustCompile(`^[A-Z]+[0-9]*$`)
)

// readMutants reads the patches of a folder, by number.
func readMutants(folder fs.FS) ([]*mutant, error) {
	names, err := fs.Glob(folder, "*.patch")
	if err != nil {
		return nil, err
	}
	var list []*mutant
	for _, name := range names {
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		m, err := parseMutant(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if slices.ContainsFunc(list, func(other *mutant) bool { return other.Name == m.Name }) {
			return nil, fmt.Errorf("%s: there are two mutants %s: give one another name", name, m.Name)
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *mutant) int {
		return cmp.Or(cmp.Compare(a.number(), b.number()), cmp.Compare(a.Name, b.Name))
	})
	return list, nil
}

func (m *mutant) number() int {
	n, _ := strconv.Atoi(strings.TrimRight(m.Name[1:], "abcdefghijklmnopqrstuvwxyz"))
	return n
}

// parseMutant reads the header of a patch.
func parseMutant(text []byte) (*mutant, error) {
	m := &mutant{patch: text}
	header, _, found := strings.Cut("\n"+string(text), "\n--- ")
	if !found {
		return nil, fmt.Errorf("there is no diff in it")
	}
	for line := range strings.Lines(header) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Mutant":
			m.Name, m.Title, _ = strings.Cut(value, " ")
		case "Breaks":
			m.Breaks = value
		case "Kill":
			names, command, _ := strings.Cut(value, " ")
			k := kill{Invariants: strings.Split(names, "/"), Command: command}
			for _, name := range k.Invariants {
				if !invariant.MatchString(name) {
					return nil, fmt.Errorf("%q is no name of an invariant: write as in Kill: I1/I2 wxchaos kill", name)
				}
			}
			if tool := strings.Fields(command); len(tool) < 2 || tool[0] != "go" && tool[0] != "wxchaos" {
				return nil, fmt.Errorf("%q is no command: give a go test or a scenario of wxchaos", command)
			}
			m.Kills = append(m.Kills, k)
		}
	}
	switch {
	case !mutantName.MatchString(m.Name) || m.Title == "":
		return nil, fmt.Errorf("there is no line such as Mutant: M1 what it does")
	case m.Breaks == "":
		return nil, fmt.Errorf("there is no line Breaks: with what goes wrong")
	case len(m.Kills) == 0:
		return nil, fmt.Errorf("there is no line Kill: with what must find it")
	}
	return m, nil
}

// choose returns the mutants with these names, or all.
func choose(all []*mutant, names string) (list []*mutant, err error) {
	if names == "" {
		return all, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(m *mutant) bool { return m.Name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no mutant %q: -list shows all", name)
		}
		list = append(list, all[i])
	}
	return list, nil
}

// catalogue is the table of mutants in docs/proof.md.
func catalogue(all []*mutant) string {
	var b strings.Builder
	b.WriteString("| mutant | what it breaks | found as, by |\n| --- | --- | --- |\n")
	for _, m := range all {
		fmt.Fprintf(&b, "| %s %s | %s | %s |\n", m.Name, m.Title, m.Breaks, m.foundBy())
	}
	return b.String()
}

// foundBy is what kills the mutant, as the table has it.
func (m *mutant) foundBy() string {
	var list []string
	for _, k := range m.Kills {
		list = append(list, strings.Join(k.Invariants, " or ")+": `"+k.Command+"`")
	}
	return strings.Join(list, "; ")
}
