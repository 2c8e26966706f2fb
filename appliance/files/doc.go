// Package files is the appliance's file area: what captures and logs are written
// to, and what SFTP, SCP, FTP and the page show.
//
// A Store is a directory of this machine with a quota, and an fs.FS with writing:
// names are slash-separated and relative, as in package fs
// ("data/pub/diagnostic/x.cap"). It stands on os.Root, so that neither ".." nor a
// link leads out of it. An Area is what one logged-in user sees of a Store: it
// resolves paths as users type them and knows what users may change.
//
// # Directories
//
// The directories that a user expects (Dirs) are shown from the beginning and made
// on disk at the first write, so that a thousand appliances start fast. Temporary
// files live in a directory of their own that no user sees; what a crash left in
// it is removed by Open.
//
// # Second names
//
// An alias is a second name of a directory. In a Store's listings it is a symbolic
// link, which fs.WalkDir does not follow. Users see less: clients of SFTP differ
// in what they do with a link to a directory (scp -r calls it a failure, others
// fetch everything twice). So an Area leaves an alias that stands beside its
// target out of the listing, though it can be named (/data/pub/captures), and
// shows any other as the directory that it is (/var/log/mail_logs), so that
// /var/log can be looked at and fetched like any directory. Only who fetches "/" as a
// whole gets the logs twice.
//
// # Quota
//
// What counts is the length of every file, so a file that was grown by Truncate
// costs its length although the disk below may store it sparsely. A write that
// does not fit writes nothing and returns ErrQuota; so does one for which the
// machine's disk has no room. A file that is removed while it is open counts until
// it is closed, as on a real disk. An upload that does not fit leaves what was there
// before (Store.Overwrite).
//
// # Files that grow
//
// A file that is opened for reading while somebody writes it ends where it ended
// at that moment, so that fetching a capture over the wire that is captured comes
// to an end. Its writer may say how much of it is whole (File.SetVisible): readers
// and listings then see that much.
//
// # Time
//
// Times of files are those of the appliance's clock, which settime moves.
//
// # Lock order
//
// Store.mu (names, and who has what open) or File.mu (one user's position), then
// node.mu (a file's size; held during each write). None of them is held while
// OnFull's function runs, so that it may write to the file that was full.
package files
