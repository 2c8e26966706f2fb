package peers

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/scp"
)

var _ = register(Kind{
	Name: "scpd",
	Port: 22,
	Options: refusals(map[string]func(string) error{
		"user":      nil,
		"key":       checkKey,
		"host_key":  nil,
		"directory": checkDirectory,
	}),
	New: func(c Config) Peer {
		s := &SCPServer{stream: stream{config: c}, uploads: uploadsOf(c)}
		s.serve = s.converse
		return s
	},
})

const (
	sshHandshake = 30 * time.Second
	maxSCPLine   = 8 << 10
)

// checkKey wants a line as authorized_keys has it.
func checkKey(s string) error {
	if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s)); err != nil {
		return fmt.Errorf("%q, expected a public key such as ssh-ed25519 AAAA...", s)
	}
	return nil
}

// An SCPServer is an SSH server that takes files by "scp -t" and keeps them. Who logs in
// shows a public key: any one, or with the option key that one; with user only as that
// user. With directory no other directory exists. Its host key follows from its name
// and the option host_key: another text, another key.
type SCPServer struct {
	stream
	uploads

	keys sync.Mutex
	seen []string // public keys that logged in, each once
}

// hostKey is made of nothing but configuration: it is nobody's secret.
func (s *SCPServer) hostKey() ssh.Signer {
	seed := sha256.Sum256([]byte(s.config.Name + "\x00" + s.config.Options["host_key"]))
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		panic(err) // a key of this kind is always one
	}
	return signer
}

// HostKey is the server's public key as a file of known hosts has it: "ssh-ed25519 AAAA...".
func (s *SCPServer) HostKey() string { return keyText(s.hostKey().PublicKey()) }

func keyText(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }

// UserKeys are the public keys with which somebody logged in, each once.
func (s *SCPServer) UserKeys() []string {
	s.keys.Lock()
	defer s.keys.Unlock()
	return append([]string(nil), s.seen...)
}

// admit decides who may log in.
func (s *SCPServer) admit(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	o := s.config.Options
	if s.refuses("login") || o["user"] != "" && c.User() != o["user"] {
		return nil, errors.New("nobody of that name")
	}
	if o["key"] != "" {
		want, _, _, _, _ := ssh.ParseAuthorizedKey([]byte(o["key"])) // was checked
		if !bytes.Equal(want.Marshal(), key.Marshal()) {
			return nil, errors.New("not the key")
		}
	}
	return &ssh.Permissions{Extensions: map[string]string{"key": keyText(key)}}, nil
}

// converse serves a connection until it ends.
func (s *SCPServer) converse(c network.Conn) {
	config := &ssh.ServerConfig{PublicKeyCallback: s.admit, ServerVersion: "SSH-2.0-scpd"}
	config.AddHostKey(s.hostKey())
	_ = c.SetDeadline(clock.System().Now().Add(sshHandshake))
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	_ = c.SetDeadline(time.Time{})
	s.note(conn.Permissions.Extensions["key"])
	var running sync.WaitGroup
	defer running.Wait()
	defer conn.Close()
	running.Go(func() { ssh.DiscardRequests(requests) })
	for n := range channels {
		if n.ChannelType() != "session" {
			_ = n.Reject(ssh.UnknownChannelType, "only sessions are served")
			continue
		}
		ch, asked, err := n.Accept()
		if err != nil {
			return
		}
		running.Go(func() { s.session(conn, ch, asked) })
	}
}

func (s *SCPServer) note(key string) {
	s.keys.Lock()
	defer s.keys.Unlock()
	for _, k := range s.seen {
		if k == key {
			return
		}
	}
	if len(s.seen) < maxUploads {
		s.seen = append(s.seen, key)
	}
}

// session runs the one command of a session.
func (s *SCPServer) session(conn *ssh.ServerConn, ch ssh.Channel, asked <-chan *ssh.Request) {
	defer ch.Close()
	for r := range asked {
		var exec struct{ Line string }
		err := ssh.Unmarshal(r.Payload, &exec)
		c, notSCP := scp.ParseCommand(exec.Line)
		if r.Type != "exec" || err != nil || notSCP != nil || c.Source {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		status := struct{ Code uint32 }{}
		client, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
		sink := scpSink{s: s, in: bufio.NewReaderSize(ch, 32<<10), out: ch, upload: Upload{Client: client, User: conn.User()}}
		if err := sink.receive(c.Paths[0].Text); err != nil {
			status.Code = 1
		}
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(status))
		return
	}
}

// An scpSink takes the files of one session.
type scpSink struct {
	s      *SCPServer
	in     *bufio.Reader
	out    io.Writer
	upload Upload // who sends
	failed error  // what was refused
}

// complain tells the sender what is wrong with a file; it may go on.
func (k *scpSink) complain(name, text string) error {
	k.failed = errors.New(text)
	_, err := fmt.Fprintf(k.out, "%cscp: %s: %s\n", scp.Warning, name, text)
	return err
}

func (k *scpSink) ack() error {
	_, err := k.out.Write([]byte{scp.OK})
	return err
}

// receive takes what is sent to a directory.
func (k *scpSink) receive(dir string) error {
	dir = path.Join("/", dir)
	if only := k.s.config.Options["directory"]; only != "" && dir != path.Clean(only) {
		return errors.Join(k.complain(dir, "No such file or directory"), k.failed)
	}
	if err := k.ack(); err != nil {
		return err
	}
	for {
		line, err := k.line()
		switch {
		case errors.Is(err, io.EOF):
			return k.failed
		case err != nil:
			return err
		case line[0] == 'T':
			_, err = scp.ParseTimes(line)
			if err == nil {
				err = k.ack()
			}
		case line[0] == 'C':
			err = k.file(dir, line)
		default:
			err = k.complain(dir, "protocol error")
		}
		if err != nil {
			return err
		}
	}
}

// file takes a file that a line announces.
func (k *scpSink) file(dir, line string) error {
	h, err := scp.ParseHeader(line)
	if err != nil {
		return errors.Join(err, k.complain(dir, "protocol error"))
	}
	if k.s.refuses("upload") {
		return k.complain(path.Join(dir, h.Name), "Permission denied")
	}
	if err := k.ack(); err != nil {
		return err
	}
	f := k.upload
	f.Time, f.Name = k.s.config.Clock.Now(), path.Join(dir, h.Name)
	whole, err := k.s.uploads.receive(f, k.in, h.Size)
	if err != nil {
		return err
	}
	if _, err := k.in.ReadByte(); err != nil { // whether the other side could read it all
		return err
	}
	if !whole {
		return k.complain(f.Name, "No space left on device")
	}
	return k.ack()
}

// line reads a line of at most 8 KiB, without its end. It is not empty.
func (k *scpSink) line() (string, error) {
	line, err := k.in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	if len(line) < 2 || len(line) > maxSCPLine {
		return "", errors.New("not a line of the protocol")
	}
	return string(line[:len(line)-1]), nil
}

var (
	_ Reporter = (*SCPServer)(nil)
	_ Reporter = (*FTPServer)(nil)
)
