// Command wxchaos breaks the server and sees what it keeps of its promises. See
// package chaos.
//
//	wxchaos kill -kills 30
//	wxchaos all -short
//
// Each scenario prints one line of JSON. Exit codes: 0 all bounds hold or the scenario was
// skipped, 1 one is broken, 2 the command line is wrong.
package main

import (
	"os"

	"github.com/echostr/echostr/internal/chaos"
)

func main() { os.Exit(chaos.Main(os.Args[1:], os.Stdout, os.Stderr)) }
