// Package shell is the appliance's command line: the SSH server, the serial console, the prompt,
// dialogues, and everything around a command that the command itself need not care about.
//
// # Terms
//
//   - Command: a word that can be typed at the main prompt. Command describes it.
//   - Session: one administrator at the main prompt, or one command line that came with ssh
//     ("ssh host line"). A session has one account, one draft and at most one running command.
//   - Draft: the configuration changes of a session that are not committed yet.
//   - Prompter: the user's end of a conversation: it shows text and reads answers. The three kinds
//     are a terminal, a script (a session without a terminal), and shelltest.Prompter.
//   - Dialogue: asks questions over a Prompter, in the way AsyncOS asks them.
//   - Form: a sequence of fields; each asks one question and stores the answer.
//   - Refusal: a text that the administrator may see (package refusal). Other errors are internal.
//   - Channel: one conversation within an SSH connection, as the SSH protocol defines it. It runs
//     one program: a shell, a command line, or a subsystem such as sftp.
//
// # A command
//
// A Command is data and one function. Run holds the conversation as blocking code, in the order
// of the conversation:
//
//	Run: func(ctx context.Context, env *shell.Env) error {
//		name, err := env.Ask(ctx, "Enter the name:", "", validName)
//		if err != nil {
//			return err
//		}
//		env.Printf("Hello, %s.\n", name)
//		return nil
//	},
//
// Properties of a command (which roles may run it, since which version it exists, whether it has
// an inline form) are fields, and this package enforces them.
//
// # Why commands block
//
// A dialogue of ten questions with branches is readable only as sequential code. That has three
// consequences. One goroutine reads the client during the whole session, so that Ctrl-C is noticed
// while a command runs. Every wait ends with its context's cause, so that an interrupted prompt
// can say why it ended: idle, shutdown, hang-up. And no lock is held while a question is open,
// which is why Menu takes a function and builds itself from the current state each time.
//
// # Blank lines
//
// A Dialogue puts AsyncOS's blank lines in place, so that commands do not have to:
//
//   - one after each line that the user has entered;
//   - one before a question or a menu that follows other text;
//   - two before a menu that follows the text of its own Header;
//   - none before a question whose answer is entered on the question's own line, if text was
//     printed directly above it.
//
// Text that begins with "\n" after an answer already has its blank line and gets no second one.
//
// # Errors
//
// There are three kinds. A refusal is printed as it is, and inside a dialogue the question is asked
// again; an InvalidArgumentError is a refusal for inline arguments. A control error (ErrInterrupt,
// ErrIdle, ErrLogout, the cause of a context) ends the command or the session; session.handleError
// is the only place that decides which. Any other error is internal: it is logged with its cause,
// the administrator sees one generic line, and the session continues. The same happens after a
// panic in a command.
//
// # Rights
//
// A session has the rights that its account has now, not those of the login. Each connection and
// each session has a users.Authority. A commit that changes an account tells its sessions at once:
// a session that the account no longer permits ends with the reason, even while it waits at a
// prompt, and a command that the new role does not permit ends. Before each command the session
// looks its account up again, which costs one atomic load. A connection that is no longer permitted
// opens no channel, and is closed when its sessions have ended. The serial console and the
// subsystems follow the same rule.
//
// # What the libraries do
//
// gliderlabs/ssh serves connections, but three of its parts are replaced. Its session handler can
// hang when the client's window changes, and its contexts live as long as the connection: see
// channel.go. Its handlers for passwords and keys confuse the accounts of several attempts: see
// auth.go. Its accept loop cannot be waited for, and its Shutdown does not end sessions: see
// server.go.
//
// x/term edits the line that is being typed and does nothing else: the output of commands bypasses
// it. A keyDecoder (keys.go) stands between the input and x/term, which waits for more input after
// bytes that are not UTF-8, and after escape sequences that it does not know. x/term cannot
// continue after Ctrl-C, Ctrl-D or an error, so a new one replaces it then. That is cheaper, and
// the screen looks better, than to feed it keys that make it end its line.
//
// The server has several host keys: old clients know only RSA. The keys other than the first are
// loaded when a client needs them (hostkey.go), and a client in Go, which prefers RSA to the key
// that it finds in known_hosts, is not offered them (hello.go).
//
// Output is collected and sent in one piece (output.go): the echo of a command, its output and the
// next prompt are usually one packet. Packets of the protocol that follow each other are sent in
// one segment (combine.go), and so are the two pieces in which the library writes a long packet. That
// saves a quarter of the server's segments in a login. A subsystem that sends much data says so
// (BeginBulk), and it leaves in pieces of 128 KiB, which saves a quarter of the processor time.
//
// # Key exchanges
//
// OpenSSH's client, PuTTY, Paramiko 2.12, and AsyncSSH 2.10.1 and 2.24 renew their keys during
// sessions and transfers, and survive when the server renews them. AsyncSSH 2.14.1 and 2.14.2, and
// Debian's 2.10.1 with the security fixes of these versions, do not: they go on sending data during
// a key exchange, which RFC 4253, section 7.1, forbids. OpenSSH 7 and later ignores that.
// x/crypto/ssh closes the connection. AsyncSSH renews its keys after one hour, or after it has sent
// 1 GiB; then such a client loses its connection.
//
// The server cannot prevent that. It sees the packets only when x/crypto/ssh has decrypted them,
// which is after the key exchange has failed. It would help a quiet session, but no transfer, if
// the server always renewed the keys before the client does: x/crypto/ssh has a limit for that in
// bytes, but none in time. An SSH transport of our own would solve it. It would replace the most
// attacked 2,000 lines of the server for the sake of faulty versions of one client, and is therefore
// not made. The limits after which the server itself renews the keys are the library's, which are
// OpenSSH's too: 64 GiB with AES, 1 GiB with other ciphers.
//
// When the server ends a connection, it tells each session and transfer the reason beforehand. If
// the client has broken the protocol, it receives SSH_MSG_DISCONNECT with the reason; x/crypto/ssh
// has no function for that, so disconnect.go calls one that is not exported. Clients that do not log
// in or do not answer are told nothing. The authentication log always has the reason, with the
// version of a client that has broken the rules of key exchanges.
//
// # Goroutines
//
// Server.Stop and Console.Serve wait for every goroutine that they started, including the
// functions of timers. Stop stops waiting when its context ends; a later Stop then waits for the
// rest (see taskGroup). The goroutines of the SSH library end soon after their connection; the
// library offers no way to wait for them.
//
// The goroutine that reads a session's input ends when the input is closed. A console's input must
// therefore be an io.ReadCloser whose Close makes a blocked Read return. A terminal is not one: on
// most systems Read of a terminal is a system call that neither closing the file nor a deadline
// interrupts. The program therefore asks the system whether there is input before it reads, and
// package box gives the Console of each boot a reader of its own.
//
// # Time
//
// The delay after a failed login uses the appliance's clock, which tests advance. Idle timeouts use the
// real time of that clock, so that users are not logged out sooner on a clock that runs fast.
// The handshake timeout, keepalives and the delay of output use the machine's clock.
//
// # Locks
//
// While Server.mu is held, only connection.mu and taskGroup.mu are taken. While inputBuffer.mu is
// held, the locks of the clock and of users.Logins may be taken. The functions that a commit calls
// (users.AuthorityOptions.OnChange) only cancel contexts and set timers. outputBuffer.mu is held
// while data is written to the client, which can take as long as the client likes; therefore code
// that must not block, such as the handling of SSH requests, never writes output. connection.mu,
// terminal.mu and taskGroup.mu are leaves. combiner.mu is a leaf, too, and is held while data is
// written to the client; reads do not wait for it after the handshake. disconnect holds the lock with
// which x/crypto/ssh orders its packets while it writes the last one, and takes combiner.mu.
package shell
