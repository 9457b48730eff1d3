package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker (make build). `go install` leaves it to the build information.
var version string

type versionCommand struct{}

func (versionCommand) Run(term *terminal) error {
	fmt.Fprintf(term.out, "echostr %s (%s, %s/%s)\n", programVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// programVersion is the version with the commit, as far as they are known.
func programVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
