package transfer

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/files"
)

// mlsxFacts are the facts that MLST and MLSD can tell (RFC 3659, 7.5).
var mlsxFacts = []string{"type", "size", "modify", "perm"}

// A listing is what LIST, NLST and STAT show.
type listing struct {
	long     bool // -l
	sections []section
}

// A section is a directory's part of a listing. Only -R makes more than one.
type section struct {
	title   string // "" for the first
	entries []entry
}

type entry struct {
	name string // as it is shown
	info fs.FileInfo
}

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

// long is the line that ls -l shows.
func (c *ftpConn) long(e entry) string {
	t := e.info.ModTime()
	date := t.Format("Jan _2 15:04")
	if age := c.s.o.Clock.Now().Sub(t); age > 182*24*time.Hour || age < -time.Hour {
		date = t.Format("Jan _2  2006")
	}
	return fmt.Sprintf("%s   1 %-8s %-8s %12d %s %s", e.info.Mode(), files.Owner, files.Group, e.info.Size(), date, e.name)
}

func short(e entry) string { return e.name }

// find makes the listing of an argument such as "-l *.cap". Of the options that ls
// has, l, d, R, t, S and r change something here; the others are harmless.
func (c *ftpConn) find(arg string) (listing, error) {
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
	err = c.walk(full, "", strings.Contains(opts, "R"), func(title string, list []fs.FileInfo) {
		entries := make([]entry, len(list))
		for i, fi := range list {
			entries[i] = entry{fi.Name(), fi}
		}
		l.sections = append(l.sections, section{title, sorted(entries)})
	})
	return l, err
}

// glob lists what matches a pattern, under names that the client can ask for.
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
			continue // removed meanwhile
		}
		name := p // with a pattern in the directory part the full path is what helps
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

// walk calls visit for a directory and, if deep, for those below it.
func (c *ftpConn) walk(dir, title string, deep bool, visit func(title string, list []fs.FileInfo)) error {
	list, err := c.session.area.ReadDir(dir)
	if err != nil {
		return err
	}
	visit(title, list)
	for _, fi := range list {
		if deep && fi.IsDir() {
			if err := c.walk(path.Join(dir, fi.Name()), path.Join(cmp.Or(title, "."), fi.Name()), deep, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendText sends a listing, which is text whatever the type.
func (c *ftpConn) sendText(text string) {
	if c.session.data == nil {
		c.noData()
		return
	}
	c.transfer("Opening ASCII mode data connection for file list.", func(conn net.Conn) error {
		_, err := io.WriteString(conn, text)
		return err
	})
}

func (c *ftpConn) noData() { c.reply(425, "Use PORT or PASV first.") }

func (c *ftpConn) list(arg string) {
	l, err := c.find(arg)
	if err != nil {
		c.refuse(arg, err)
		return
	}
	c.sendText(l.text(c.long))
}

func (c *ftpConn) nlst(arg string) {
	l, err := c.find(arg)
	if err != nil {
		c.refuse(arg, err)
		return
	}
	if l.long {
		c.sendText(l.text(c.long))
		return
	}
	c.sendText(l.text(short))
}

// factList is the facts as FEAT shows them, those in use marked, or only those.
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

// facts is an entry of MLST and MLSD; full is its path.
func (c *ftpConn) facts(full, name string, fi fs.FileInfo) string {
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
			b.WriteString("modify=" + mdtm(fi) + ";")
		case "perm":
			b.WriteString("perm=" + c.perm(full, fi) + ";")
		}
	}
	return b.String() + " " + name
}

// perm says what the user may do (RFC 3659, 7.5.5).
func (c *ftpConn) perm(full string, fi fs.FileInfo) string {
	writable := c.session.area.Writable(full)
	switch {
	case fi.IsDir() && writable:
		return "cdeflmp"
	case fi.IsDir() && c.session.area.Writable(full+"/x"):
		return "ceflmp" // the directory itself stays
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
	case err != nil && reason(err) == reason(syscall.ENOTDIR):
		c.reply(501, printable(arg)+": Not a directory.") // RFC 3659, 7.2
		return
	case err != nil:
		c.refuse(arg, err)
		return
	}
	var b strings.Builder
	for _, fi := range list {
		b.WriteString(c.facts(path.Join(dir, fi.Name()), fi.Name(), fi) + "\r\n")
	}
	c.sendText(b.String())
}

func (c *ftpConn) mlst(arg string) {
	full := c.path(arg)
	fi, err := c.session.area.Stat(full)
	if err != nil {
		c.refuse(arg, err)
		return
	}
	c.reply(250, "Begin", c.facts(full, full, fi), "End")
}

// mdtm is a time as RFC 3659 writes it.
func mdtm(fi fs.FileInfo) string { return fi.ModTime().UTC().Format("20060102150405") }

// plain is Stat for a command that is about a file's content.
func (c *ftpConn) plain(arg string) (fs.FileInfo, error) {
	fi, err := c.session.area.Stat(c.path(arg))
	if err == nil && fi.IsDir() {
		err = syscall.EISDIR
	}
	return fi, err
}

func (c *ftpConn) size(arg string) {
	fi, err := c.plain(arg)
	switch {
	case err != nil:
		c.refuse(arg, err)
	case c.session.ascii:
		c.reply(550, "SIZE is not told in ASCII mode.") // it would have to be counted
	default:
		c.reply(213, fmt.Sprint(fi.Size()))
	}
}

func (c *ftpConn) mdtm(arg string) {
	fi, err := c.plain(arg)
	if err != nil {
		c.refuse(arg, err)
		return
	}
	c.reply(213, mdtm(fi))
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
		c.refuse(name, err)
		return
	}
	c.reply(213, "Modify="+stamp+"; "+name)
}
