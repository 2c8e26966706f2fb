// Package atomicfile replaces small files as a whole. A reader sees the old content or the new
// content, even if the process was killed while it was writing.
//
//	err := atomicfile.Write(path, text)       // returns without waiting for the disk
//	err := atomicfile.WriteSynced(path, text) // waits for the disk
//
// The two differ after a loss of power: a file that WriteSynced was replacing has its old content
// or its new content, a file that Write was replacing may also be empty. Write is for files that
// are written while the appliance boots: waiting for the disk would take longer than all the rest
// of the boot. A reader must therefore take an empty file for a missing one.
//
// A process that is killed while it writes leaves a temporary file beside the one that it was
// replacing. Sweep removes such files; the owner of a directory calls it when it starts.
//
// Files get mode 0600. Missing directories are created with mode 0700. If two calls write the same
// file at the same time, the content of one of them remains.
package atomicfile
