package transfer

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	ftp "goftp.io/server/v2"

	"github.com/esasim/esasim/appliance/files"
)

// An ftpCommand is an entry of a session's command table, as the library wants it.
type ftpCommand struct {
	c    *ftpConn
	open bool // also before the login
	arg  bool // needs an argument
	run  func(s *ftp.Session, arg string)
}

func (f ftpCommand) IsExtend() bool     { return false } // FEAT is ours
func (f ftpCommand) RequireParam() bool { return false } // the library answers with a wrong code
func (f ftpCommand) RequireAuth() bool  { return !f.open }

// Execute carries the command out. A panic is told as an error; the library would
// leave the client without an answer.
func (f ftpCommand) Execute(s *ftp.Session, arg string) {
	defer func() {
		if p := recover(); p != nil {
			f.c.s.o.Logger.Error("panic in ftp", "value", p, "stack", string(debug.Stack()))
			f.c.finish()
			f.c.reply(451, "Requested action aborted: local error in processing.")
		}
	}()
	if f.arg && arg == "" {
		f.c.reply(501, "Syntax error: an argument is missing.")
		return
	}
	f.run(s, arg)
}

// An ftpTable is a session's commands by name.
type ftpTable map[string]ftp.Command

const (
	anybody  = true // also before the login
	needsArg = true
)

// commands is the session's table.
func (c *ftpConn) commands() ftpTable {
	table := ftpTable{}
	c.addLogin(table)
	c.addFiles(table)
	c.addTransfers(table)

	c.say(table, "NOOP", anybody, 200, "NOOP command successful.")
	c.say(table, "SYST", anybody, 215, "UNIX Type: L8")
	c.say(table, "ACCT", false, 202, "No account is needed.")
	for _, name := range []string{"REIN", "SMNT", "AUTH", "PBSZ", "PROT", "CCC", "LPRT", "LPSV"} {
		c.say(table, name, anybody, 502, name+" is not implemented.")
	}
	c.add(table, "FEAT", anybody, false, c.feat)
	c.add(table, "HELP", anybody, false, func(arg string) { c.help(arg, slices.Sorted(maps.Keys(table))) })
	c.add(table, "OPTS", anybody, needsArg, c.opts)
	c.add(table, "SITE", false, needsArg, c.site)
	for _, name := range []string{"CWD", "PWD", "MKD", "RMD"} {
		table["X"+name] = table[name]
	}
	table["XCUP"] = table["CDUP"]
	return table
}

func (c *ftpConn) add(table ftpTable, name string, open, arg bool, run func(arg string)) {
	table[name] = ftpCommand{c, open, arg, func(_ *ftp.Session, arg string) { run(arg) }}
}

// say adds a command that has one answer.
func (c *ftpConn) say(table ftpTable, name string, open bool, code int, text string) {
	c.add(table, name, open, false, func(string) { c.reply(code, text) })
}

// addLogin adds what the library does well, the login's state and leaving, with the
// order of commands checked.
func (c *ftpConn) addLogin(table ftpTable) {
	library := ftp.DefaultCommands()
	table["USER"] = ftpCommand{c, anybody, needsArg, func(s *ftp.Session, arg string) {
		if s.IsLogin() {
			c.reply(530, "You are logged in already.")
			return
		}
		c.session.asked = arg
		library["USER"].Execute(s, arg)
	}}
	table["PASS"] = ftpCommand{c, anybody, false, func(s *ftp.Session, arg string) {
		if s.IsLogin() || c.session.asked == "" {
			c.reply(503, "Login with USER first.")
			return
		}
		library["PASS"].Execute(s, arg)
		c.session.asked = ""
		if !s.IsLogin() && c.session.tries >= c.s.o.MaxLoginTries {
			c.end("Too many failed logins.")
		}
	}}
	table["QUIT"] = ftpCommand{c, anybody, false, library["QUIT"].Execute}
}

func (c *ftpConn) addFiles(table ftpTable) {
	c.add(table, "PWD", false, false, c.pwd)
	c.add(table, "CWD", false, false, c.cwd)
	c.add(table, "CDUP", false, false, func(string) { c.cwd("..") })
	c.add(table, "MKD", false, needsArg, c.mkd)
	c.add(table, "RMD", false, needsArg, c.rmd)
	c.add(table, "DELE", false, needsArg, c.dele)
	c.add(table, "RNFR", false, needsArg, c.rnfr)
	c.add(table, "RNTO", false, needsArg, c.rnto)
	c.add(table, "SIZE", false, needsArg, c.size)
	c.add(table, "MDTM", false, needsArg, c.mdtm)
	c.add(table, "MFMT", false, needsArg, c.mfmt)
	c.add(table, "STAT", false, false, c.stat)
	c.add(table, "MLST", false, false, c.mlst)
}

func (c *ftpConn) addTransfers(table ftpTable) {
	c.add(table, "TYPE", false, needsArg, c.setType)
	c.add(table, "MODE", false, needsArg, c.only("MODE", "S"))
	c.add(table, "STRU", false, needsArg, c.only("STRU", "F"))
	c.add(table, "PORT", false, needsArg, c.port)
	c.add(table, "EPRT", false, needsArg, c.eprt)
	c.add(table, "PASV", false, false, c.pasv)
	c.add(table, "EPSV", false, false, c.epsv)
	c.add(table, "ABOR", false, false, func(string) {
		c.setData(nil)
		c.reply(226, "ABOR command successful.")
	})
	c.add(table, "LIST", false, false, c.list)
	c.add(table, "NLST", false, false, c.nlst)
	c.add(table, "MLSD", false, false, c.mlsd)
	c.add(table, "REST", false, needsArg, c.restart)
	c.add(table, "RETR", false, needsArg, c.retr)
	c.add(table, "STOR", false, needsArg, c.stor)
	c.add(table, "APPE", false, needsArg, c.appe)
	c.add(table, "STOU", false, false, c.stou)
	c.add(table, "ALLO", false, false, c.allo)
}

// ftpAuth checks passwords for the library.
type ftpAuth struct{ c *ftpConn }

// CheckPasswd holds back the answer to a wrong password for as long as the guard
// says.
func (a ftpAuth) CheckPasswd(_ *ftp.Context, user, passphrase string) (bool, error) {
	c := a.c
	from := c.remote.Addr()
	guard := c.s.o.Guard
	area, err := (*files.Area)(nil), errBlocked
	if guard == nil || guard.Admit(from) {
		area, err = c.s.o.Verify(user, passphrase, from)
	}
	if err != nil {
		c.session.tries++
		c.logf("User %s login FAILED", printable(user))
		if guard != nil {
			delay, blocked := guard.Failed(from)
			if blocked {
				c.logf("The address %v is blocked after repeated failures", from)
				c.session.tries = c.s.o.MaxLoginTries
			}
			_ = c.s.o.Clock.Sleep(c.ctx, delay) // ends early with the session
		}
		return false, nil
	}
	if guard != nil {
		guard.Succeeded(from)
	}
	c.session.area, c.session.user = area, user
	if c.s.o.OnLogin != nil {
		c.session.logout = c.s.o.OnLogin(user, from)
	}
	c.logf("User %s login SUCCESS", user)
	return true, nil
}

var errBlocked = errors.New("transfer: the address is blocked")

func (c *ftpConn) feat(string) {
	c.reply(211, "Extensions supported:", "EPRT", "EPSV", "MDTM", "MFMT",
		"MLST "+c.factList(true), "REST STREAM", "SIZE", "TVFS", "UTF8", "End")
}

func (c *ftpConn) help(arg string, names []string) {
	if arg != "" {
		if slices.Contains(names, strings.ToUpper(arg)) {
			c.reply(214, strings.ToUpper(arg)+" is implemented.")
		} else {
			c.reply(502, "Unknown command.")
		}
		return
	}
	var lines []string
	for chunk := range slices.Chunk(names, 8) {
		lines = append(lines, strings.Join(chunk, " "))
	}
	c.reply(214, "The following commands are recognized:", append(lines, "Help OK.")...)
}

func (c *ftpConn) opts(arg string) {
	name, value, _ := strings.Cut(arg, " ")
	switch strings.ToUpper(name) {
	case "UTF8":
		if value == "" || strings.EqualFold(value, "ON") {
			c.reply(200, "UTF8 is always on.")
		} else {
			c.reply(504, "UTF8 is always on.")
		}
	case "MLST":
		c.session.facts = nil
		for _, f := range mlsxFacts {
			if slices.ContainsFunc(strings.Split(value, ";"), func(v string) bool { return strings.EqualFold(v, f) }) {
				c.session.facts = append(c.session.facts, f)
			}
		}
		c.reply(200, strings.TrimSpace("MLST OPTS "+c.factList(false)))
	default:
		c.reply(501, "Option not understood.")
	}
}

func (c *ftpConn) setType(arg string) {
	switch strings.ToUpper(arg) {
	case "A", "A N":
		c.session.ascii, c.session.rest = true, 0 // offsets count bytes of the file
		c.reply(200, "Type set to A.")
	case "I", "L 8":
		c.session.ascii = false
		c.reply(200, "Type set to I.")
	default:
		c.reply(504, "Type not supported.")
	}
}

// only is a command that knows one value.
func (c *ftpConn) only(name, value string) func(string) {
	return func(arg string) {
		if strings.EqualFold(arg, value) {
			c.reply(200, name+" set to "+value+".")
		} else {
			c.reply(504, "Unsupported "+name+".")
		}
	}
}

func (c *ftpConn) site(arg string) {
	name, _, _ := strings.Cut(arg, " ")
	switch strings.ToUpper(name) {
	case "HELP":
		c.reply(214, "The following SITE commands are recognized:", "CHMOD HELP", "Help OK.")
	case "CHMOD":
		c.reply(202, "Permissions are the appliance's own.")
	default:
		c.reply(504, "Unknown SITE command.")
	}
}

// path is the full path of an argument.
func (c *ftpConn) path(arg string) string { return c.session.area.Path(c.session.dir, arg) }

// refuse tells why something could not be done with a file.
func (c *ftpConn) refuse(arg string, err error) {
	c.reply(550, printable(arg)+": "+reason(err)+".")
}

// did tells that something was done, or why not.
func (c *ftpConn) did(what, arg string, err error) {
	if err != nil {
		c.refuse(arg, err)
		return
	}
	c.reply(250, what)
}

// quoted is a path as 257 shows it.
func quoted(p string) string { return `"` + strings.ReplaceAll(p, `"`, `""`) + `"` }

func (c *ftpConn) pwd(string) {
	c.reply(257, quoted(c.session.dir)+" is the current directory.")
}

func (c *ftpConn) cwd(arg string) {
	dir := files.Home
	if arg != "" && arg != "~" {
		dir = c.path(arg)
	}
	fi, err := c.session.area.Stat(dir)
	switch {
	case err != nil:
		c.refuse(arg, err)
	case !fi.IsDir():
		c.reply(550, printable(arg)+": Not a directory.")
	default:
		c.session.dir = dir
		c.reply(250, "CWD command successful.")
	}
}

func (c *ftpConn) mkd(arg string) {
	dir := c.path(arg)
	if err := c.session.area.Mkdir(dir); err != nil {
		c.refuse(arg, err)
		return
	}
	c.reply(257, quoted(dir)+" directory created.")
}

func (c *ftpConn) rmd(arg string) {
	c.did("RMD command successful.", arg, c.session.area.RemoveDir(c.path(arg)))
}

func (c *ftpConn) dele(arg string) {
	err := c.session.area.Remove(c.path(arg))
	if err == nil {
		c.logf("Delete %s", printable(arg))
	}
	c.did("DELE command successful.", arg, err)
}

func (c *ftpConn) rnfr(arg string) {
	c.session.renameFrom = ""
	if _, err := c.session.area.Stat(c.path(arg)); err != nil {
		c.refuse(arg, err)
		return
	}
	c.session.renameFrom = c.path(arg)
	c.reply(350, "File exists, ready for the new name.")
}

func (c *ftpConn) rnto(arg string) {
	from := c.session.renameFrom
	c.session.renameFrom = ""
	if from == "" {
		c.reply(503, "Bad sequence of commands: RNFR first.")
		return
	}
	c.did("RNTO command successful.", arg, c.session.area.Rename(from, c.path(arg), true))
}

func (c *ftpConn) stat(arg string) {
	if arg != "" {
		l, err := c.find(arg)
		if err != nil {
			c.refuse(arg, err)
			return
		}
		lines := strings.Split(strings.TrimSuffix(l.text(c.long), "\r\n"), "\r\n")
		c.reply(213, "Status of "+printable(arg)+":", append(lines, "End of status.")...)
		return
	}
	kind := "Image"
	if c.session.ascii {
		kind = "ASCII"
	}
	c.reply(211, "FTP server status:",
		fmt.Sprintf("Connected from %v", c.remote.Addr()),
		"Logged in as "+c.session.user,
		"TYPE: "+kind+", STRUcture: File, transfer MODE: Stream",
		"End of status.")
}
