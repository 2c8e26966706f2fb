package transfer

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	ftp "goftp.io/server/v2"

	"github.com/esasim/esasim/appliance/files"
)

// An ftpCommand is an entry of a session's command table. It implements ftp.Command of the library.
type ftpCommand struct {
	conn        *ftpConn
	beforeLogin bool // it may be used before the login
	needsArg    bool // it needs an argument
	run         func(s *ftp.Session, arg string)
}

// IsExtend returns false, because we implement FEAT.
func (f ftpCommand) IsExtend() bool { return false }

// RequireParam returns false, because the library would reply with the wrong code.
func (f ftpCommand) RequireParam() bool { return false }

// RequireAuth reports whether the user must have logged in.
func (f ftpCommand) RequireAuth() bool { return !f.beforeLogin }

// Execute runs the command. After a panic it replies with an error: the library would not reply.
func (f ftpCommand) Execute(s *ftp.Session, arg string) {
	defer func() {
		if p := recover(); p != nil {
			f.conn.server.options.Logger.Error("panic in ftp", "value", p, "stack", string(debug.Stack()))
			f.conn.endTransfer()
			f.conn.reply(451, "Requested action aborted: local error in processing.")
		}
	}()
	if f.needsArg && arg == "" {
		f.conn.reply(501, "Syntax error: an argument is missing.")
		return
	}
	f.run(s, arg)
}

// An ftpTable is a session's commands by name.
type ftpTable map[string]ftp.Command

const (
	beforeLogin = true // also before the login
	needsArg    = true
)

// commands returns the session's command table.
func (c *ftpConn) commands() ftpTable {
	table := ftpTable{}
	c.addLogin(table)
	c.addFiles(table)
	c.addTransfers(table)

	c.addReply(table, "NOOP", beforeLogin, 200, "NOOP command successful.")
	c.addReply(table, "SYST", beforeLogin, 215, "UNIX Type: L8")
	c.addReply(table, "ACCT", false, 202, "No account is needed.")
	for _, name := range []string{"REIN", "SMNT", "AUTH", "PBSZ", "PROT", "CCC", "LPRT", "LPSV"} {
		c.addReply(table, name, beforeLogin, 502, name+" is not implemented.")
	}
	c.add(table, "FEAT", beforeLogin, false, c.feat)
	c.add(table, "HELP", beforeLogin, false, func(arg string) {
		c.help(arg, slices.Sorted(maps.Keys(table)))
	})
	c.add(table, "OPTS", beforeLogin, needsArg, c.opts)
	c.add(table, "SITE", false, needsArg, c.site)
	for _, name := range []string{"CWD", "PWD", "MKD", "RMD"} {
		table["X"+name] = table[name]
	}
	table["XCUP"] = table["CDUP"]
	return table
}

// add adds a command that does not need the library's session.
func (c *ftpConn) add(
	table ftpTable, name string, beforeLogin, needsArg bool, run func(arg string),
) {
	table[name] = ftpCommand{c, beforeLogin, needsArg, func(_ *ftp.Session, arg string) { run(arg) }}
}

// addReply adds a command that always has the same reply.
func (c *ftpConn) addReply(table ftpTable, name string, beforeLogin bool, code int, text string) {
	c.add(table, name, beforeLogin, false, func(string) { c.reply(code, text) })
}

// addLogin adds the commands for login and logout. The library implements them, but does not check
// their order.
func (c *ftpConn) addLogin(table ftpTable) {
	library := ftp.DefaultCommands()
	table["USER"] = ftpCommand{c, beforeLogin, needsArg, func(s *ftp.Session, arg string) {
		if s.IsLogin() {
			c.reply(530, "You are logged in already.")
			return
		}
		c.session.pendingUser = arg
		library["USER"].Execute(s, arg)
	}}
	table["PASS"] = ftpCommand{c, beforeLogin, false, func(s *ftp.Session, arg string) {
		if s.IsLogin() || c.session.pendingUser == "" {
			c.reply(503, "Login with USER first.")
			return
		}
		library["PASS"].Execute(s, arg)
		c.session.pendingUser = ""
		if !s.IsLogin() && c.session.failedLogins >= c.server.options.MaxLoginTries {
			c.endWithReply("Too many failed logins.")
		}
	}}
	table["QUIT"] = ftpCommand{c, beforeLogin, false, library["QUIT"].Execute}
}

// addFiles adds the commands for files and directories.
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

// addTransfers adds the commands for data connections and transfers.
func (c *ftpConn) addTransfers(table ftpTable) {
	c.add(table, "TYPE", false, needsArg, c.setType)
	c.add(table, "MODE", false, needsArg, c.acceptOnly("MODE", "S"))
	c.add(table, "STRU", false, needsArg, c.acceptOnly("STRU", "F"))
	c.add(table, "PORT", false, needsArg, c.port)
	c.add(table, "EPRT", false, needsArg, c.eprt)
	c.add(table, "PASV", false, false, c.pasv)
	c.add(table, "EPSV", false, false, c.epsv)
	c.add(table, "ABOR", false, false, func(string) {
		c.setDataPort(nil)
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

// ftpAuth implements ftp.Auth of the library.
type ftpAuth struct{ c *ftpConn }

// CheckPasswd checks a login. It delays the answer to a wrong password by the guard's delay.
func (a ftpAuth) CheckPasswd(_ *ftp.Context, user, passphrase string) (bool, error) {
	c := a.c
	from := c.remote.Addr()
	guard := c.server.options.Guard
	if guard != nil && !guard.Begin(c.ctx, from) {
		c.logf("User %s login FAILED", sanitize(user))
		c.session.failedLogins = c.server.options.MaxLoginTries
		return false, nil
	}
	login, err := c.server.options.Verify(user, passphrase, from)
	if err != nil {
		c.session.failedLogins++
		c.logf("User %s login FAILED", sanitize(user))
		if guard != nil {
			delay, blocked := guard.Failed(from)
			guard.End(from)
			if blocked {
				c.logf("The address %v is blocked after repeated failures", from)
				c.session.failedLogins = c.server.options.MaxLoginTries
			}
			_ = c.server.options.Clock.Sleep(c.ctx, delay) // returns early if the session ends
		}
		return false, nil
	}
	if guard != nil {
		guard.Succeeded(from)
		guard.End(from)
	}
	c.setLoggedIn()
	c.session.area, c.session.user, c.session.done = login.Area, user, login.Done
	c.logf("User %s login SUCCESS", user)
	if login.Begin != nil {
		c.session.logout = login.Begin(c.endWithReply)
	}
	return true, nil
}

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
			requested := func(v string) bool { return strings.EqualFold(v, f) }
			if slices.ContainsFunc(strings.Split(value, ";"), requested) {
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
		c.session.ascii, c.session.restartOffset = true, 0 // offsets count bytes of the file
		c.reply(200, "Type set to A.")
	case "I", "L 8":
		c.session.ascii = false
		c.reply(200, "Type set to I.")
	default:
		c.reply(504, "Type not supported.")
	}
}

// acceptOnly returns a command that accepts one value of its argument.
func (c *ftpConn) acceptOnly(name, value string) func(string) {
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

// path returns the full path of an argument.
func (c *ftpConn) path(arg string) string { return c.session.area.Path(c.session.dir, arg) }

// replyError replies with the reason why an operation on a file has failed.
func (c *ftpConn) replyError(arg string, err error) {
	c.reply(550, sanitize(arg)+": "+reasonText(err)+".")
}

// replyResult replies with text if err is nil, else as replyError.
func (c *ftpConn) replyResult(text, arg string, err error) {
	if err != nil {
		c.replyError(arg, err)
		return
	}
	c.reply(250, text)
}

// quotePath returns a path in the form of reply 257.
func quotePath(p string) string { return `"` + strings.ReplaceAll(p, `"`, `""`) + `"` }

func (c *ftpConn) pwd(string) {
	c.reply(257, quotePath(c.session.dir)+" is the current directory.")
}

func (c *ftpConn) cwd(arg string) {
	dir := files.Home
	if arg != "" && arg != "~" {
		dir = c.path(arg)
	}
	fi, err := c.session.area.Stat(dir)
	switch {
	case err != nil:
		c.replyError(arg, err)
	case !fi.IsDir():
		c.reply(550, sanitize(arg)+": Not a directory.")
	default:
		c.session.dir = dir
		c.reply(250, "CWD command successful.")
	}
}

func (c *ftpConn) mkd(arg string) {
	dir := c.path(arg)
	if err := c.session.area.Mkdir(dir); err != nil {
		c.replyError(arg, err)
		return
	}
	c.reply(257, quotePath(dir)+" directory created.")
}

func (c *ftpConn) rmd(arg string) {
	c.replyResult("RMD command successful.", arg, c.session.area.RemoveDir(c.path(arg)))
}

func (c *ftpConn) dele(arg string) {
	err := c.session.area.Remove(c.path(arg))
	if err == nil {
		c.logf("Delete %s", sanitize(arg))
	}
	c.replyResult("DELE command successful.", arg, err)
}

func (c *ftpConn) rnfr(arg string) {
	c.session.renameFrom = ""
	if _, err := c.session.area.Stat(c.path(arg)); err != nil {
		c.replyError(arg, err)
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
	c.replyResult("RNTO command successful.", arg, c.session.area.Rename(from, c.path(arg), true))
}

func (c *ftpConn) stat(arg string) {
	if arg != "" {
		l, err := c.newListing(arg)
		if err != nil {
			c.replyError(arg, err)
			return
		}
		lines := strings.Split(strings.TrimSuffix(l.text(c.longLine), "\r\n"), "\r\n")
		c.reply(213, "Status of "+sanitize(arg)+":", append(lines, "End of status.")...)
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
