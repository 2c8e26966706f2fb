package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
)

// A Keeper is a Peer that can give away what it has received, and take it back later, also in another
// world of the same topology. Keep returns JSON in a form that only this type of peer reads. Open
// connections are not kept.
type Keeper interface {
	Peer
	// Keep returns what the peer has received.
	Keep() ([]byte, error)
	// CheckKept returns an error if a text is not what Keep of such a peer can have returned.
	CheckKept(text []byte) error
	// Recall replaces what the peer has received. It is called before Start. If it returns an
	// error, that of CheckKept, nothing has changed.
	Recall(text []byte) error
}

// decodeKept decodes what a peer has kept. Unknown keys and values out of their bounds are errors.
func decodeKept(text []byte, x any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(x); err != nil {
		return fmt.Errorf("what a server has received: %w", err)
	}
	return nil
}

// errKept is returned for what no peer can have kept.
func errKept(what string, n int) error {
	return fmt.Errorf("what a server has received: %s: %d", what, n)
}

type keptMail struct {
	LastID, Received, Dropped, Connections int
	Refused                                map[string]int
	Messages                               []keptMessage
}

type keptMessage struct {
	Message
	Text []byte
}

// Keep implements Keeper.
func (x *MailExchanger) Keep() ([]byte, error) {
	x.mu.Lock()
	k := keptMail{Connections: x.connections, Refused: maps.Clone(x.refused)}
	x.mu.Unlock()
	var stored []Message
	stored, k.Received, k.Dropped, _ = x.mail.contents()
	x.mail.mu.Lock()
	k.LastID = x.mail.lastID
	x.mail.mu.Unlock()
	for _, m := range stored {
		k.Messages = append(k.Messages, keptMessage{m, m.Data()})
	}
	return json.Marshal(k)
}

// CheckKept implements Keeper.
func (x *MailExchanger) CheckKept(text []byte) error {
	_, err := decodeMail(text)
	return err
}

func decodeMail(text []byte) (k keptMail, err error) {
	if err := decodeKept(text, &k); err != nil {
		return k, err
	}
	total, last := 0, 0
	for _, m := range k.Messages {
		total += len(m.Text)
		if m.ID <= last || m.ID > k.LastID || m.Size < int64(len(m.Text)) {
			return k, errKept("the number or the size of a message", m.ID)
		}
		last = m.ID
	}
	if len(k.Messages) > maxMessages || total > maxMessageBytes {
		return k, errKept("too many messages", len(k.Messages))
	}
	return k, nil
}

// Recall implements Keeper.
func (x *MailExchanger) Recall(text []byte) error {
	k, err := decodeMail(text)
	if err != nil {
		return err
	}
	x.mu.Lock()
	x.connections, x.recalled = k.Connections, k.Refused
	x.mu.Unlock()
	x.mail.recall(k)
	return nil
}

// recall replaces the messages.
func (b *mailbox) recall(k keptMail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		b.bytes -= m.text.room()
	}
	b.messages, b.lastID, b.received, b.dropped = nil, k.LastID, k.Received, k.Dropped
	for _, kept := range k.Messages {
		m := kept.Message
		m.text = &mailText{size: m.Size}
		if len(kept.Text) > 0 {
			m.text.pieces = [][]byte{kept.Text}
		}
		b.bytes += m.text.room()
		b.messages = append(b.messages, m)
	}
	b.announce()
}

type keptSyslog struct {
	Accepted, Total int
	Connections     []keptConnection
	Records         []string
}

type keptConnection struct {
	SyslogConnection
	Beginning []byte
}

// endOfWorld is the end of a connection that was open when it was kept.
const endOfWorld = "reset"

// Keep implements Keeper.
func (s *SyslogServer) Keep() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := keptSyslog{Accepted: s.accepted, Total: s.total, Records: s.records}
	for _, c := range s.connections {
		x := keptConnection{*c, c.Data}
		if x.End == "" {
			x.End = endOfWorld
		}
		k.Connections = append(k.Connections, x)
	}
	return json.Marshal(k)
}

// CheckKept implements Keeper.
func (s *SyslogServer) CheckKept(text []byte) error {
	_, err := decodeSyslog(text)
	return err
}

func decodeSyslog(text []byte) (k keptSyslog, err error) {
	if err := decodeKept(text, &k); err != nil {
		return k, err
	}
	total := 0
	for _, r := range k.Records {
		total += len(r)
	}
	for _, c := range k.Connections {
		if len(c.Beginning) > maxSyslogStream {
			return k, errKept("too much of a connection", len(c.Beginning))
		}
	}
	if len(k.Records) > maxSyslogRecords || total > maxSyslogBytes ||
		len(k.Connections) > maxSyslogConnections || k.Total < len(k.Records) {
		return k, errKept("too many records", len(k.Records))
	}
	return k, nil
}

// Recall implements Keeper.
func (s *SyslogServer) Recall(text []byte) error {
	k, err := decodeSyslog(text)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted, s.total, s.records, s.bytes, s.connections = k.Accepted, k.Total, k.Records, 0, nil
	for _, r := range k.Records {
		s.bytes += len(r)
	}
	for _, c := range k.Connections {
		x := c.SyslogConnection
		x.Data = c.Beginning
		s.connections = append(s.connections, &x)
	}
	return nil
}

type keptUploads struct {
	Taken, Refused int
	Files          []keptFile
}

type keptFile struct {
	Upload
	Content []byte
}

// Keep implements Keeper.
func (u *uploads) Keep() ([]byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := keptUploads{Taken: u.taken, Refused: u.refused}
	for _, f := range u.files {
		k.Files = append(k.Files, keptFile{f, f.Data})
	}
	return json.Marshal(k)
}

// CheckKept implements Keeper.
func (u *uploads) CheckKept(text []byte) error {
	_, err := decodeUploads(text)
	return err
}

func decodeUploads(text []byte) (k keptUploads, err error) {
	if err := decodeKept(text, &k); err != nil {
		return k, err
	}
	total := 0
	for _, f := range k.Files {
		total += len(f.Content)
	}
	if len(k.Files) > maxUploads || total > maxUploadBytes && len(k.Files) > 1 || total > 2*maxUploadBytes {
		return k, errKept("too many files", len(k.Files))
	}
	return k, nil
}

// Recall implements Keeper.
func (u *uploads) Recall(text []byte) error {
	k, err := decodeUploads(text)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.taken, u.refused, u.files, u.bytes = k.Taken, k.Refused, nil, 0
	for _, f := range k.Files {
		f.Data = f.Content
		u.files = append(u.files, f.Upload)
		u.bytes += len(f.Data)
	}
	return nil
}

// Keep implements Keeper.
func (s *Sink) Keep() ([]byte, error) { return json.Marshal(s.Report()) }

// CheckKept implements Keeper.
func (s *Sink) CheckKept(text []byte) error { return decodeKept(text, &SinkReport{}) }

// Recall implements Keeper.
func (s *Sink) Recall(text []byte) error {
	var k SinkReport
	if err := decodeKept(text, &k); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted, s.received = k.Connections, k.Bytes
	return nil
}

// Keep implements Keeper.
func (d *DNSServer) Keep() ([]byte, error) { return json.Marshal(d.Report()) }

// CheckKept implements Keeper.
func (d *DNSServer) CheckKept(text []byte) error {
	_, err := decodeQueries(text)
	return err
}

func decodeQueries(text []byte) (k DNSReport, err error) {
	if err := decodeKept(text, &k); err != nil {
		return k, err
	}
	if len(k.Queries) > maxDNSQueries || k.Taken < len(k.Queries) {
		return k, errKept("too many queries", len(k.Queries))
	}
	return k, nil
}

// Recall implements Keeper.
func (d *DNSServer) Recall(text []byte) error {
	k, err := decodeQueries(text)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queries, d.total = k.Queries, k.Taken
	return nil
}

type keptNTP struct{ Queries int }

// Keep implements Keeper.
func (n *NTPServer) Keep() ([]byte, error) { return json.Marshal(keptNTP{n.Queries()}) }

// CheckKept implements Keeper.
func (n *NTPServer) CheckKept(text []byte) error { return decodeKept(text, &keptNTP{}) }

// Recall implements Keeper.
func (n *NTPServer) Recall(text []byte) error {
	var k keptNTP
	if err := decodeKept(text, &k); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queries = k.Queries
	return nil
}
