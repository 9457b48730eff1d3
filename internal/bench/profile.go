package main

import (
	"os"
	"runtime/pprof"
	"strings"
	"sync"
)

// startProfile begins a CPU profile of the server in file.kind, if a file is given.
func startProfile(kind, file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file + "." + strings.NewReplacer(" ", "", ",", "-", "/", "").Replace(kind))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() {
		pprof.StopCPUProfile()
		f.Close()
	}), nil
}
