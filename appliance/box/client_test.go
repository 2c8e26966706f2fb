package box_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// clientOf is the environment variable that makes the test binary an SSH client of the address that
// is its value. A client that is a process of its own is not counted when the process of the
// appliance is measured.
const clientOf = "ESASIM_TEST_CLIENT"

func TestMain(m *testing.M) {
	addr := os.Getenv(clientOf)
	if addr == "" {
		os.Exit(m.Run())
	}
	c := sshClient{addr: addr}
	if err := c.serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A sshClient is the client that clientOf makes of the test binary.
type sshClient struct {
	addr     string
	sessions []clientSession
}

type clientSession struct {
	conn *ssh.Client
	in   io.Writer
	out  io.Reader
}

// serve executes the orders that are the lines of r, and answers each with a line when it has been
// done:
//
//	logins N     logs in N times, one after the other; each time it closes the connection when the
//	             prompt has come
//	open N       opens N sessions
//	commands N   executes N commands in the session that was opened last
//	each N       executes N commands in each session, in all sessions at the same time
//	close        closes all sessions
func (c *sshClient) serve(r io.Reader, w io.Writer) error {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		var order string
		n := 1
		fmt.Sscan(lines.Text(), &order, &n)
		var err error
		for range n {
			if err == nil {
				err = c.do(order)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		fmt.Fprintln(w, "done")
	}
	return nil
}

func (c *sshClient) do(order string) error {
	switch order {
	case "logins":
		s, err := c.open()
		if err != nil {
			return err
		}
		return s.conn.Close()
	case "open":
		s, err := c.open()
		c.sessions = append(c.sessions, s)
		return err
	case "commands":
		return c.sessions[len(c.sessions)-1].command()
	case "each":
		results := make(chan error, len(c.sessions))
		for _, s := range c.sessions {
			go func() { results <- s.command() }()
		}
		var err error
		for range c.sessions {
			err = errors.Join(err, <-results)
		}
		return err
	case "close":
		for _, s := range c.sessions {
			s.conn.Close()
		}
		c.sessions = nil
		return nil
	}
	return fmt.Errorf("%q is not an order", order)
}

// command executes a command and waits for the next prompt.
func (s clientSession) command() error {
	if _, err := io.WriteString(s.in, "version\r"); err != nil {
		return err
	}
	return until(s.out, "example.com> ")
}

// open opens a session and waits for its prompt.
func (c *sshClient) open() (s clientSession, err error) {
	if s.conn, err = ssh.Dial("tcp", c.addr, &clientConfig); err == nil {
		s.in, s.out, err = openSession(s.conn)
	}
	return s, err
}

// A clientProcess is a process that clientOf makes a client.
type clientProcess struct {
	t   testing.TB
	in  io.Writer
	out *bufio.Reader
}

// startClient starts a client of addr. It ends with the test.
func startClient(t testing.TB, addr string) *clientProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), clientOf+"="+addr)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the client: %v\n%s", err, strings.TrimSpace(stderr.String()))
		}
	})
	return &clientProcess{t, in, bufio.NewReader(out)}
}

// do gives an order, see sshClient.serve, and waits until it has been done.
func (c *clientProcess) do(order string, n int) {
	c.t.Helper()
	fmt.Fprintln(c.in, order, n)
	if _, err := c.out.ReadString('\n'); err != nil {
		c.t.Fatalf("%s: the client has ended: %v", order, err)
	}
}
