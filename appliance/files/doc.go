// Package files is the appliance's file area: captures and logs are written to it, and SFTP,
// SCP, FTP and the page show it.
//
// # Terms
//
// A Store is the file area, a directory of this machine with a quota. An Area is a Store as
// one logged-in user sees it. An alias is a second name of a directory, or of a file (Link). A
// permanent directory is listed whether or not it exists on disk. The resolved name of a file
// is its name without aliases.
//
// A Store is an fs.FS with methods that write: its names are slash-separated and relative, as
// in package fs ("data/pub/diagnostic/x.cap"). It is based on os.Root, so neither ".." nor a
// symbolic link leads out of the directory. An Area resolves paths as users type them and
// decides what users may change.
//
// # Directories
//
// The directories that users expect (Diagnostic, Configuration, Log) are permanent. They are
// made on disk at the first write, so that a thousand appliances start fast. Temporary files
// are in a directory of their own that users cannot see; Open removes the files that a crash
// has left there.
//
// The directory of the store is opened for each call (a few microseconds) and closed after it: an
// idle appliance holds no descriptor, of which a process with thousands of them would run out.
//
// # Aliases
//
// In a Store's listings an alias is a symbolic link, which fs.WalkDir does not follow. An Area
// shows no links, because SFTP clients treat a link to a directory differently: scp -r reports
// an error, others fetch every file twice. If an alias and its target are in one directory,
// the Area leaves the alias out of the listing, but accepts it in paths (/data/pub/captures).
// It lists any other alias as a directory (/var/log/mail_logs), so that /var/log can be
// browsed and fetched. Only a client that fetches "/" as a whole gets the logs twice.
//
// # Quota
//
// The quota counts the length of every file. A file that was extended by Truncate counts with
// its full length, although the disk may store it sparsely. A write that would exceed the
// quota, or for which the machine's disk has no space, writes nothing and returns ErrQuota. A
// file that is removed while it is open for writing counts until it is closed, as on a Unix
// disk. After an upload that does not fit, the file has its former content
// (Store.Overwrite).
//
// Users may create up to 20,000 files and directories, with names of up to 1,024 bytes and up to 64
// levels below the directory of configurations, so that counting the files at the next start takes
// a fraction of a second.
//
// # Crashes
//
// A process may be killed at any time. A file that was being overwritten then has its former
// content at the next start, because that is what a client was told last; a new file has the data
// that had arrived. Open restores such files and logs what it could not do; it never fails because
// of the content of the area.
//
// # Growing files
//
// If a file is opened for reading while it is being written, its reader gets the content of
// that moment and then io.EOF. Otherwise fetching a capture over the network that is being
// captured would never end.
//
// # Digests
//
// The event of a transfer has the hash of the file, which takes as long as sending it. Most events are
// never read, so Area.Digest only remembers which file it is. Each call that changes, renames or
// removes a file first computes the digests that are still missing (lockToChange).
//
// # Times
//
// Times of files come from the appliance's clock, which settime changes.
//
// # Lock order
//
// File.mu (the position of one File), then inPlace.mu (the copy of its former content), then
// Store.mu (names and open files), then node.mu (the size of a file, held during each write). None
// of them is held while the function of OnFull runs, so it may write to the file that was full.
// digest.mu is held while a file is read, and no other lock is taken or held then.
package files
