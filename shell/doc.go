// Package shell is the appliance's command line: login over SSH, the prompt,
// dialogues, and everything around a command that no command should care about.
//
// # A command
//
// A Command is data and one function. Run holds the conversation as plain blocking
// code that reads from top to bottom as the conversation goes:
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
// What is true of a command (who may run it, since which version, whether it has
// an inline form) is a field of it and enforced here.
//
// # Why a session is a goroutine that blocks
//
// A dialogue of ten questions with branches is readable only as straight code. The
// price is three duties. One goroutine reads the terminal for the whole session, so
// that Ctrl-C is seen while a command runs. Every wait ends with its context's
// cause, so that a prompt that ends says why: idle, shutdown, hang-up. And no lock
// is held across a question, which is why Menu takes a function and draws itself
// anew from fresh state.
//
// # Blank lines
//
// A Dialogue keeps AsyncOS's blank lines, so that commands need not: one after each
// line that the user has entered, one before a question or a menu's header that
// follows other text, two before a header under the menu's own Head, none before a question whose answer is given on the question's
// own line when text was just printed above it. Text that begins with "\n" after an
// answer has its blank line already and gets no second one.
//
// # Errors
//
// Three kinds. A Refusal (or an Invalid, for inline arguments) is a text for the
// administrator: it is printed as it stands, and inside a dialogue the question is
// asked again. Control (ErrInterrupt, ErrIdle, ErrLogout, the cause of a context)
// ends the command or the session; session.go alone decides which. Everything else
// is internal: it is logged with its cause, the administrator sees one generic line,
// and the session goes on. So it does after a panic in a command.
//
// # What the libraries do, and what not
//
// gliderlabs/ssh serves connections. Three things of it are replaced. Its session
// handler can hang on changes of the window and gives contexts that live as long as
// the connection: see channel.go. Its handlers for passwords and keys mix up the
// accounts of several attempts: see auth.go. Its accept loop cannot be waited for,
// nor can its Shutdown end sessions: see server.go.
//
// x/term edits lines, and that is all: what commands print goes past it. It cannot go
// on after Ctrl-C, Ctrl-D or an error, so a fresh one takes its place then; this is
// cheaper, and looks better, than to feed it keys that make it end the line.
//
// Text is gathered and sent in one go (outlet.go): the echo of a command, its output
// and the next prompt are mostly one packet.
//
// # Goroutines
//
// Server.Stop and Console.Serve wait for every goroutine that they started, the functions of
// timers included. Stop stops waiting when its context ends; a later Stop then waits for the
// rest (see taskGroup).
//
// The goroutine that reads a session's input ends when the input is closed. A console's input
// must therefore be an io.ReadCloser whose Close makes a blocked Read return. A terminal is not:
// on most systems Read of a terminal is a system call that neither closing the file nor a
// deadline interrupts. The program therefore asks the system whether there is input before it
// reads, and package box gives the Console of each boot a reader of its own.
//
// # Time
//
// Idle sessions and the delay after a failed login are appliance time, which a
// test moves. Handshakes, keepalives, and how long text is gathered, are the
// machine's.
//
// # Locks
//
// Server.mu is taken before no other lock but peer.mu's. inbox.mu is taken before
// those of the clock and of the table of logins. outlet.mu is held while the client
// is written to, which can take as long as the client likes; so nothing that must go
// on, such as the answering of requests, writes text. terminal.mu and peer.mu are
// leaves.
package shell
