//go:build !unix

package pgtest

import "syscall"

type account struct{}

func unprivileged() (*account, error) { return nil, nil }

func (*account) own(string) error { return nil }

func (*account) attr() *syscall.SysProcAttr { return nil }

func detached(attr *syscall.SysProcAttr) *syscall.SysProcAttr { return attr }
