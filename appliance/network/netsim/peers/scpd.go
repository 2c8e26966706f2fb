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

// SCPKind is the type of SCP servers in a topology.
const SCPKind = "scpd"

var _ = register(Kind{
	Name: SCPKind, Title: "an SCP server",
	Port: 22,
	Options: withRefusalOptions(map[string]func(string) error{
		"user":      nil,
		"key":       checkKey,
		"host_key":  nil,
		"directory": checkDirectory,
	}),
	New: func(c Config) Peer {
		s := &SCPServer{stream: stream{config: c}, uploads: uploadsOf(c)}
		s.serve = s.serveConn
		return s
	},
})

const (
	sshHandshake = 30 * time.Second
	maxSCPLine   = 8 << 10
)

// checkKey reports an error unless s is a line of a file authorized_keys.
func checkKey(s string) error {
	if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s)); err != nil {
		return fmt.Errorf("%q, expected a line of authorized_keys: ssh-ed25519 and a public key in base64", s)
	}
	return nil
}

// An SCPServer is an SSH server that accepts files by "scp -t" and stores them. Clients
// authenticate with a public key. Every key is accepted, unless the option key names one;
// every user is, unless the option user names one. If the option directory is given, no
// other directory exists. The host key is derived from the server's name and the text of the
// option host_key.
type SCPServer struct {
	stream
	uploads

	keys     sync.Mutex
	userKeys []string // public keys of clients that have logged in, each once
}

// hostKey derives the host key from the configuration. It is not a secret.
func (s *SCPServer) hostKey() ssh.Signer {
	seed := sha256.Sum256([]byte(s.config.Name + "\x00" + s.config.Options["host_key"]))
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		panic(err) // cannot happen with a key of this type
	}
	return signer
}

// HostKey returns the server's public key in the form of a known_hosts file:
// "ssh-ed25519 AAAA...".
func (s *SCPServer) HostKey() string { return keyText(s.hostKey().PublicKey()) }

func keyText(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }

// UserKeys returns the public keys of clients that have logged in, each once.
func (s *SCPServer) UserKeys() []string {
	s.keys.Lock()
	defer s.keys.Unlock()
	return append([]string(nil), s.userKeys...)
}

// authenticate decides whether a client may log in.
func (s *SCPServer) authenticate(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	o := s.config.Options
	if s.refuse("login") || o["user"] != "" && c.User() != o["user"] {
		return nil, errors.New("unknown user")
	}
	if o["key"] != "" {
		want, _, _, _, _ := ssh.ParseAuthorizedKey([]byte(o["key"])) // it has been checked
		if !bytes.Equal(want.Marshal(), key.Marshal()) {
			return nil, errors.New("wrong key")
		}
	}
	return &ssh.Permissions{Extensions: map[string]string{"key": keyText(key)}}, nil
}

// serveConn serves a connection until it ends.
func (s *SCPServer) serveConn(c network.Conn) {
	config := &ssh.ServerConfig{PublicKeyCallback: s.authenticate, ServerVersion: "SSH-2.0-scpd"}
	config.AddHostKey(s.hostKey())
	_ = c.SetDeadline(clock.System().Now().Add(sshHandshake))
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	_ = c.SetDeadline(time.Time{})
	s.recordUserKey(conn.Permissions.Extensions["key"])
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

func (s *SCPServer) recordUserKey(key string) {
	s.keys.Lock()
	defer s.keys.Unlock()
	for _, k := range s.userKeys {
		if k == key {
			return
		}
	}
	if len(s.userKeys) < maxUploads {
		s.userKeys = append(s.userKeys, key)
	}
}

// session executes the command of a session.
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
		sink := scpSink{s: s, in: bufio.NewReaderSize(ch, 32<<10), out: ch,
			upload: Upload{Client: client, User: conn.User()}}
		if err := sink.receive(c.Paths[0].Text); err != nil {
			status.Code = 1
		}
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(status))
		return
	}
}

// An scpSink receives the files of one session.
type scpSink struct {
	s       *SCPServer
	in      *bufio.Reader
	out     io.Writer
	upload  Upload // with the fields that describe the client
	refusal error  // the latest warning that was sent to the client; nil if there was none
}

// warn tells the client what is wrong with a file. The client may send more files.
func (k *scpSink) warn(name, text string) error {
	k.refusal = errors.New(text)
	_, err := fmt.Fprintf(k.out, "%cscp: %s: %s\n", scp.Warning, name, text)
	return err
}

func (k *scpSink) ack() error {
	_, err := k.out.Write([]byte{scp.OK})
	return err
}

// receive receives the files that the client sends to a directory.
func (k *scpSink) receive(dir string) error {
	dir = path.Join("/", dir)
	if only := k.s.config.Options["directory"]; only != "" && dir != path.Clean(only) {
		return errors.Join(k.warn(dir, "No such file or directory"), k.refusal)
	}
	if err := k.ack(); err != nil {
		return err
	}
	for {
		line, err := k.line()
		switch {
		case errors.Is(err, io.EOF):
			return k.refusal
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
			err = k.warn(dir, "protocol error")
		}
		if err != nil {
			return err
		}
	}
}

// file receives the file that a line announces.
func (k *scpSink) file(dir, line string) error {
	h, err := scp.ParseHeader(line)
	if err != nil {
		return errors.Join(err, k.warn(dir, "protocol error"))
	}
	if k.s.refuse("upload") {
		return k.warn(path.Join(dir, h.Name), "Permission denied")
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
	if _, err := k.in.ReadByte(); err != nil { // the client's status: whether it could read the whole file
		return err
	}
	if !whole {
		return k.warn(f.Name, "No space left on device")
	}
	return k.ack()
}

// line reads a line of at most 8 KiB and returns it without its end. It is not empty.
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
