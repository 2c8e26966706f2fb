// Package users knows the administrators: who may log in and as what, who tries
// too often, who is logged in and who was.
//
// The accounts are a section of the configuration, so they change by commit; a
// Directory reads the committed ones. A Guard holds back addresses that guess. The
// three have no knowledge of each other: a server asks Guard.Admit when a client
// connects, Directory.Verify for each try, tells the Guard how it went, and opens a
// Login for the session.
//
// # Passphrases
//
// They are kept as bcrypt hashes. A hash takes tens of milliseconds, on purpose, and
// scripts log in hundreds of times a second; so a passphrase that was verified is
// remembered in memory, as a digest under a key that is made anew in every process
// and never leaves it, together with the hash that it was verified against. It is
// forgotten when the account changes. A wrong passphrase, a name that does not exist
// and a locked account all cost a full hash, and only so many hashes are computed at
// a time, so that guessing starves nobody who is working.
//
// The factory account's passphrase is in every manual. Its hash is a constant, so
// that an appliance starts without hashing, and it counts as verified before.
//
// # Blocked addresses
//
// They are kept in memory only, and measured by the monotonic clock: a restart
// forgets them, settime does not. Of IPv6 a /64 counts as one address.
//
// # Locks
//
// Directory.mu, Guard.mu and Logins.mu are leaves. Logins.mu is held while a line is
// appended to its file.
package users
