package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
)

// startProfile begins a CPU profile in the role's file, with what it is and its process behind, if there is one.
func (r *role) startProfile() (stop func(), err error) {
	if r.Profile == "" {
		return func() {}, nil
	}
	name := strings.NewReplacer(" ", "", ",", "-", "/", "-").Replace(r.String())
	f, err := os.Create(fmt.Sprintf("%s.%s.%d", r.Profile, name, os.Getpid()))
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
