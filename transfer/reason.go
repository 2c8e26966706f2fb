package transfer

import (
	"errors"
	"io/fs"
	"path"
	"syscall"
)

// reasons are the texts that users see for errors: those of a Unix system. Users never see the text
// of an error itself, because it describes the machine that runs the program.
var reasons = []struct {
	err  error
	text string
}{
	{fs.ErrNotExist, "No such file or directory"},
	{fs.ErrPermission, "Permission denied"},
	{fs.ErrExist, "File exists"},
	{syscall.ENOSPC, "No space left on device"},
	{syscall.EISDIR, "Is a directory"},
	{syscall.ENOTDIR, "Not a directory"},
	{syscall.ENOTEMPTY, "Directory not empty"},
	{syscall.EBUSY, "File is being written"},
	{syscall.ENAMETOOLONG, "File name too long"},
	{syscall.EFBIG, "File too large"},
	{errTooManyOpen, "Too many open files"},
	{path.ErrBadPattern, "Bad pattern"},
	{fs.ErrInvalid, "Invalid argument"},
	{syscall.EINVAL, "Invalid argument"},
}

var errTooManyOpen = errors.New("transfer: too many open files")

// reasonText returns the text for an error, without a full stop.
func reasonText(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.text
		}
	}
	return "Input/output error"
}
