// Package users manages the administrators' accounts and logins: which accounts may log in, from
// where and in which role, which client addresses have failed too often, which accounts are logged
// in and which were.
//
// # Terms
//
//   - Account: a configured administrator. Accounts are a section of the configuration, so a
//     change takes effect when it is committed.
//   - Directory: checks names, passphrases and keys against the committed accounts.
//   - Access: the section that says from where and how administrators may log in, and how long a
//     session may be idle.
//   - Authority: says what one session may do. It follows the session's account with each commit.
//   - Guard: delays the answers to failed logins, and blocks addresses that fail too often.
//   - Login: one login that has not ended; a Session describes it. Logins holds all of them, and
//     the history of those that have ended.
//
// Directory, Guard and Logins do not use each other. A server calls Guard.Admit when a client
// connects, calls Directory.Verify for each attempt, reports the result to the Guard, and calls
// Directory.Authorize and Logins.Open for the session.
//
// # Rights are never older than the account
//
// A session has the rights that its account has now, whichever service it uses. The rule is
// implemented once, by Authority:
//
//   - If the account is removed or locked, its sessions end, and their users are told the reason.
//   - If the passphrase of the account is changed, the sessions that have logged in by passphrase
//     end. A session that has logged in by a key ends if that key is removed.
//   - The session that makes the change itself goes on, unless it has removed its own account: the
//     user may have to undo the change. Everything else that belongs to the account ends.
//   - If the role is changed, a session goes on with the new role. If the new role does not permit
//     sessions of its kind at all, such as file transfers, it ends.
//   - The uncommitted changes of a session survive a change of its role, because its user may want
//     to show or to clear them. But a commit needs the rights of its own time: changes of accounts
//     and of Access that an administrator has not committed before becoming an operator are refused.
//
// The Directory updates all Authorities within the commit (config.Applier.Done), so that a session
// need not look for changes, and a session that waits for its user ends at once. Directory.Apply
// refuses what the session that commits may not change.
//
// # Passphrases
//
// Passphrases are kept as bcrypt hashes. Computing a hash takes tens of milliseconds, on
// purpose, but scripts log in hundreds of times a second. The Directory therefore remembers the
// passphrase that was verified last for each account: in memory, as a digest under a key that
// every process generates and never stores, together with the hash that it was verified
// against. It forgets the digest when the account changes.
//
// A wrong passphrase, an unknown name and a locked account all cost a full hash, so that the
// time of the answer tells nothing. The number of hashes that are computed at a time is limited,
// so that guessing does not slow down administrators who are logged in.
//
// The factory account's passphrase is in every manual. Its hash is a constant, so that an
// appliance starts without computing one, and it is accepted without computing one either.
//
// # The history's file
//
// A login does not wait for the history's file. Records are written a short time later, together
// (writeDelay), which is half of the work when many clients log in at once. If the process is
// killed, the file lacks the logins and logouts of that time; if it only stops, nothing is lost.
//
// # Blocked addresses
//
// A wrong passphrase delays the answer, and the eleventh within two minutes blocks the address
// (DefaultLimits). An address that has logged in is trusted and never blocked, because otherwise
// anybody who shares the address, behind a NAT gateway, could lock out the administrators. It is
// slowed down instead: after eleven failures its attempts are verified one at a time, one in two
// seconds. A success does not forgive failures, because the owner of one account could otherwise
// guess the passphrases of the others as fast as before.
//
// Delays alone do not bound guessing, since a client can open many connections and need not wait
// for answers. Guard.Begin therefore counts attempts whose results are not known yet as failures,
// and lets the others wait. Attempts of an address without failures are not delayed in this way,
// except that no more than eleven are verified at a time.
//
// Blocked addresses are kept in memory only, and the time of a block is monotonic: a restart
// unblocks them, settime does not. All addresses of an IPv6 /64 count as one.
//
// # Locks
//
// Directory.mu, Guard.mu and Logins.mu are leaves: no other lock is taken while one of them is
// held, except that Guard.mu is taken before the locks of the clock. AuthorityOptions.OnChange is
// called without them. Logins.mu is held while a line is appended to the file of the history.
package users
