package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/limits"
	"github.com/echostr/echostr/simulator"
)

// What the commands that play WeChat say about values that are possible and hardly meant.

// maxPushes is how often a message may be pushed. WeChat makes 3 pushes by its documentation, and
// 4 have been seen.
const maxPushes = 5

func checkPushes(n int) error {
	if n < 1 || n > maxPushes {
		return usage("--pushes lies between 1 and %d, and WeChat makes 3 or 4", maxPushes)
	}
	return nil
}

// hintToken warns of a token that WeChat's console would not take.
func hintToken(warnings io.Writer, token string) {
	if token != "" && !limits.TokenForm(token) {
		fmt.Fprintln(warnings, "warning: WeChat takes a token (令牌) of 3 to 32 letters and digits only, and this one is not (令牌须为 3 到 32 位字母或数字)")
	}
}

// nearCalls names the calls of the simulator's API whose ends are like a path that fits none.
func nearCalls(path string) string {
	wanted := strings.Split(strings.Trim(path, "/"), "/")
	var near []string
	for _, call := range (simulator.Fault{Path: "*"}).Calls() {
		parts := strings.Split(strings.TrimPrefix(call, "/cgi-bin/"), "/")
		for n := range parts {
			if end := parts[n:]; len(end) == len(wanted) && alike(strings.Join(end, "/"), strings.Join(wanted, "/")) {
				near = append(near, strings.Join(end, "/"))
			}
		}
	}
	slices.Sort(near)
	if near = slices.Compact(near); len(near) == 0 {
		return "; write a part of a path between slashes, such as custom/send or token"
	}
	return "; did you mean " + strings.Join(near[:min(len(near), 3)], " or ") + "?"
}

// alike reports whether few changes make a into b: one for every four letters, and three at most.
func alike(a, b string) bool {
	return config.Distance(a, b) <= min(3, max(len(a), len(b))/4)
}
