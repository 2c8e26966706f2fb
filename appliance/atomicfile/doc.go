// Package atomicfile replaces small files as a whole: who reads one, also after the
// process was killed in the middle, has the old text or the new one.
//
//	err := atomicfile.Write(path, text)       // as soon as the system likes
//	err := atomicfile.WriteSynced(path, text) // waits for the disk
//
// After a loss of power a file of WriteSynced's is the old one or the new one; one of
// Write's may be empty. That is for what is written while
// the appliance boots, where waiting for the disk would take longer than all the rest.
//
// Files are their owner's alone, and directories that are missing are made, for their
// owner alone too. Nothing is shared between calls; of two that write the same file the
// later one counts.
package atomicfile
