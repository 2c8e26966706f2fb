package transfer

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/files"
)

// mlsxFacts are the facts that MLST and MLSD support (RFC 3659, 7.5). Clients take the permissions
// that they show from UNIX.mode, since perm is about the user.
var mlsxFacts = []string{"type", "size", "modify", "perm", "UNIX.mode", "UNIX.owner", "UNIX.group"}

// A listing is the result of LIST, NLST or STAT.
type listing struct {
	long     bool // -l
	sections []section
}

// A section is the part of a listing about one directory. Only -R lists more than one.
type section struct {
	title   string // "" in the first section
	entries []entry
}

// An entry is a file or directory in a listing.
type entry struct {
	name string // as the listing shows it
	info fs.FileInfo
}

// text formats the listing; line formats an entry.
func (l listing) text(line func(entry) string) string {
	var b strings.Builder
	for i, s := range l.sections {
		if s.title != "" {
			if i > 0 {
				b.WriteString("\r\n")
			}
			b.WriteString(s.title + ":\r\n")
		}
		for _, e := range s.entries {
			b.WriteString(line(e) + "\r\n")
		}
	}
	return b.String()
}

// longLine formats an entry as ls -l does.
func (c *ftpConn) longLine(e entry) string {
	t := e.info.ModTime()
	date := t.Format("Jan _2 15:04")
	if age := c.server.options.Clock.Now().Sub(t); age > 182*24*time.Hour || age < -time.Hour {
		date = t.Format("Jan _2  2006")
	}
	return fmt.Sprintf("%s   1 %-8s %-8s %12d %s %s",
		e.info.Mode(), files.Owner, files.Group, e.info.Size(), date, e.name)
}

// shortLine formats an entry as ls does.
func shortLine(e entry) string { return e.name }

// newListing returns the listing for an argument such as "-l *.cap". Of the options of ls, it
// implements l, d, R, t, S and r, and ignores the others.
func (c *ftpConn) newListing(arg string) (listing, error) {
	opts := ""
	for strings.HasPrefix(arg, "-") {
		o, rest, _ := strings.Cut(arg, " ")
		opts += o[1:]
		arg = strings.TrimLeft(rest, " ")
	}
	l := listing{long: strings.Contains(opts, "l")}
	sorted := func(e []entry) []entry {
		slices.SortStableFunc(e, func(a, b entry) int {
			n := 0
			if strings.Contains(opts, "t") {
				n = b.info.ModTime().Compare(a.info.ModTime())
			} else if strings.Contains(opts, "S") {
				n = cmp.Compare(b.info.Size(), a.info.Size())
			}
			return cmp.Or(n, cmp.Compare(a.name, b.name))
		})
		if strings.Contains(opts, "r") {
			slices.Reverse(e)
		}
		return e
	}
	full := c.path(arg)
	fi, err := c.session.area.Stat(full)
	if err != nil {
		if strings.ContainsAny(arg, "*?[") {
			entries, err := c.glob(arg)
			l.sections = []section{{entries: sorted(entries)}}
			return l, err
		}
		return l, err
	}
	if !fi.IsDir() || strings.Contains(opts, "d") {
		l.sections = []section{{entries: []entry{{cmp.Or(arg, "."), fi}}}}
		return l, nil
	}
	recursive := strings.Contains(opts, "R")
	err = c.walk(full, "", recursive, func(title string, list []fs.FileInfo) {
		entries := make([]entry, len(list))
		for i, fi := range list {
			entries[i] = entry{fi.Name(), fi}
		}
		l.sections = append(l.sections, section{title, sorted(entries)})
	})
	return l, err
}

// glob returns the entries that match a pattern, under names that the client can use in commands.
func (c *ftpConn) glob(pattern string) ([]entry, error) {
	found, err := c.session.area.Glob(c.path(pattern))
	if err != nil {
		return nil, err
	}
	var entries []entry
	dir, _ := path.Split(pattern)
	for _, p := range found {
		fi, err := c.session.area.Stat(p)
		if err != nil {
			continue // the file has been removed since
		}
		name := p // the full path, if the directory part of the pattern has wildcards
		if !strings.ContainsAny(dir, "*?[") {
			name = dir + fi.Name()
		}
		entries = append(entries, entry{name, fi})
	}
	if len(entries) == 0 {
		return nil, fs.ErrNotExist
	}
	return entries, nil
}

// walk calls visit for a directory and, if recursive, for the directories below it.
func (c *ftpConn) walk(
	dir, title string, recursive bool, visit func(title string, list []fs.FileInfo),
) error {
	list, err := c.session.area.ReadDir(dir)
	if err != nil {
		return err
	}
	visit(title, list)
	for _, fi := range list {
		if !recursive || !fi.IsDir() {
			continue
		}
		sub, subTitle := path.Join(dir, fi.Name()), path.Join(cmp.Or(title, "."), fi.Name())
		if err := c.walk(sub, subTitle, recursive, visit); err != nil {
			return err
		}
	}
	return nil
}

// sendText sends a listing. It is sent as text, whatever the transfer type.
func (c *ftpConn) sendText(text string) {
	if c.session.dataPort == nil {
		c.replyNoDataPort()
		return
	}
	opening := "Opening ASCII mode data connection for file list."
	c.transfer(opening, toClient, func(conn *timeoutConn) error {
		_, err := io.WriteString(conn, text)
		return err
	})
}

// replyNoDataPort replies that the client has not opened a data port.
func (c *ftpConn) replyNoDataPort() { c.reply(425, "Use PORT or PASV first.") }

func (c *ftpConn) list(arg string) {
	l, err := c.newListing(arg)
	if err != nil {
		c.replyError(arg, err)
		return
	}
	c.sendText(l.text(c.longLine))
}

func (c *ftpConn) nlst(arg string) {
	l, err := c.newListing(arg)
	if err != nil {
		c.replyError(arg, err)
		return
	}
	if l.long {
		c.sendText(l.text(c.longLine))
		return
	}
	c.sendText(l.text(shortLine))
}

// factList returns all facts with those in use marked, as FEAT shows them, or only those in use.
func (c *ftpConn) factList(all bool) string {
	var b strings.Builder
	for _, f := range mlsxFacts {
		used := slices.Contains(c.session.facts, f)
		switch {
		case all && used:
			b.WriteString(f + "*;")
		case all || used:
			b.WriteString(f + ";")
		}
	}
	return b.String()
}

// factsLine formats an entry for MLST and MLSD; full is its path.
func (c *ftpConn) factsLine(full, name string, fi fs.FileInfo) string {
	var b strings.Builder
	for _, f := range c.session.facts {
		switch f {
		case "type":
			kind := "file"
			if fi.IsDir() {
				kind = "dir"
			}
			b.WriteString("type=" + kind + ";")
		case "size":
			if !fi.IsDir() {
				fmt.Fprintf(&b, "size=%d;", fi.Size())
			}
		case "modify":
			b.WriteString("modify=" + timeVal(fi) + ";")
		case "perm":
			b.WriteString("perm=" + c.perm(full, fi) + ";")
		case "UNIX.mode":
			fmt.Fprintf(&b, "UNIX.mode=%04o;", fi.Mode().Perm())
		case "UNIX.owner":
			b.WriteString("UNIX.owner=" + files.Owner + ";")
		case "UNIX.group":
			b.WriteString("UNIX.group=" + files.Group + ";")
		}
	}
	return b.String() + " " + name
}

// perm returns the permissions of the user (RFC 3659, 7.5.5).
func (c *ftpConn) perm(full string, fi fs.FileInfo) string {
	writable := c.session.area.Writable(full)
	switch {
	case fi.IsDir() && writable:
		return "cdeflmp"
	case fi.IsDir() && c.session.area.Writable(full+"/x"):
		return "ceflmp" // the user may not remove the directory itself
	case fi.IsDir():
		return "el"
	case writable:
		return "adfrw"
	}
	return "dr"
}

func (c *ftpConn) mlsd(arg string) {
	dir := c.path(arg)
	list, err := c.session.area.ReadDir(dir)
	switch {
	case err != nil && reasonText(err) == reasonText(syscall.ENOTDIR):
		c.reply(501, sanitize(arg)+": Not a directory.") // RFC 3659, 7.2
		return
	case err != nil:
		c.replyError(arg, err)
		return
	}
	var b strings.Builder
	for _, fi := range list {
		b.WriteString(c.factsLine(path.Join(dir, fi.Name()), fi.Name(), fi) + "\r\n")
	}
	c.sendText(b.String())
}

func (c *ftpConn) mlst(arg string) {
	full := c.path(arg)
	fi, err := c.session.area.Stat(full)
	if err != nil {
		c.replyError(arg, err)
		return
	}
	c.reply(250, "Begin", c.factsLine(full, full, fi), "End")
}

// timeVal formats the modification time as RFC 3659 does.
func timeVal(fi fs.FileInfo) string { return fi.ModTime().UTC().Format("20060102150405") }

// statFile is Stat for commands that need a file and not a directory.
func (c *ftpConn) statFile(arg string) (fs.FileInfo, error) {
	fi, err := c.session.area.Stat(c.path(arg))
	if err == nil && fi.IsDir() {
		err = syscall.EISDIR
	}
	return fi, err
}

func (c *ftpConn) size(arg string) {
	fi, err := c.statFile(arg)
	switch {
	case err != nil:
		c.replyError(arg, err)
	case c.session.ascii:
		c.reply(550, "SIZE is not told in ASCII mode.") // the file would have to be read
	default:
		c.reply(213, fmt.Sprint(fi.Size()))
	}
}

func (c *ftpConn) mdtm(arg string) {
	fi, err := c.statFile(arg)
	if err != nil {
		c.replyError(arg, err)
		return
	}
	c.reply(213, timeVal(fi))
}

// mfmt sets a file's time: "MFMT 20260102150405 path".
func (c *ftpConn) mfmt(arg string) {
	stamp, name, _ := strings.Cut(arg, " ")
	t, err := time.Parse("20060102150405", stamp)
	if err != nil || name == "" {
		c.reply(501, "Syntax error in parameters.")
		return
	}
	if err := c.session.area.Chtimes(c.path(name), t); err != nil {
		c.replyError(name, err)
		return
	}
	c.reply(213, "Modify="+stamp+"; "+name)
}
