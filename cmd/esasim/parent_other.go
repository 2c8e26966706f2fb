//go:build !unix

package main

import "errors"

// watchProcess cannot be done on this system.
func (p *parent) watchProcess() error { return errors.ErrUnsupported }
