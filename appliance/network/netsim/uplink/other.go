//go:build !linux

package uplink

import "errors"

func newTAP(string) (opener, error) { return nil, errors.ErrUnsupported }

func newPacket(string) (opener, error) { return nil, errors.ErrUnsupported }
