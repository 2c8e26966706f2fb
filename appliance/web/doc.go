// Package web is the appliance's page: the process gui, to which browsers talk.
//
//	cert := sync.OnceValues(func() (tls.Certificate, error) {
//		return web.Certificate(file, entropy, hosts, logger)
//	})
//	s := web.New(web.Options{Appliance: a, MayRun: mayRun, Outside: door})
//	a.Add(s)
//
// The server speaks HTTP/1.1, as AsyncOS does, on the ports of the IP interfaces. Plain HTTP is
// redirected to HTTPS if the interface has it; redirect.go says to which address.
//
// # Terms
//
//   - page: an entry of a menu (menus.go), with its path, its roles and the first version that
//     has it. "The page" as a whole is what this package serves.
//   - visit: a request of a client that is logged in.
//   - session: the time from a login to its end, with a draft of its own. Several tabs of a
//     browser share one.
//   - notice: a sentence about the outcome of a form. The page to which the form leads shows it,
//     once.
//   - run: the server between Start and Stop. Its sessions end with it.
//   - background request: a request that the script of a page sends by itself.
//
// # Pages and roles
//
// A handler is registered in site.go or in the file of its page, its template is in templates.
// Menus have only pages that exist. A page or an action names the command whose roles it follows
// (packetcapture, logconfig, rollovernow, commit, ...); Options.MayRun knows the table of commands.
// Roles are therefore stated once. A page that a role does not permit stays in the menu without a
// link, and pages say which of their actions the role does not permit.
//
// # Sessions
//
// A login makes an id of 20 letters and digits, which logs show, and a secret, which they do not.
// The cookie consists of both, so that an account that may read logs cannot take over a session.
// The cookie's name contains the port to which the browser has connected, because browsers share
// cookies among all ports of a host: otherwise several appliances on localhost would end each
// other's sessions.
//
// A session ends after the idle time of adminaccessconfig. Background requests do not count as
// activity. Sessions do not survive the process; captures of the page end only with the appliance
// (B8).
//
// A session has the rights that its account has now (users.Authority). If the account is removed
// or locked, or gets another passphrase, the session ends at once, and the login page tells the
// reason, to the holder of its cookie only. If the role is changed, the next request has the new
// role. The next page says so, and pages that poll are loaded again. A form that was open is
// refused with a sentence if the new role does not permit it. Downloads end with their permission.
//
// As long as a session lasts, its uncommitted changes are never discarded without a question. A
// second login in the same browser replaces the session and keeps the changes, if the account is
// the same. They are also kept if the role is changed: the user still sees them and may abandon
// them, and may commit them only if the new role permits that.
//
// # HTTP Basic
//
// A script may send HTTP Basic credentials instead of a cookie, for requests that change nothing.
// It gets no session, so that each request has the rights of its time. Browsers send stored
// credentials with requests that other sites cause, so these are refused. Such a client gets 401
// and is never redirected to the login page, which a script would take for the answer.
//
// # Forms
//
// A refused form is shown again with the user's values, with a sentence beside each field that is
// wrong, and with a list of the errors that takes the focus and links to the fields (fields.go).
// Each field is checked in settings that are otherwise valid, by the rules of the package that
// owns the settings. A value under a choice that is not selected is refused instead of dropped. A
// passphrase is never sent to the browser; a stored one is used only for the server and the user
// that it was entered for. A question, such as whether to delete, is a page of its own, so that
// the browser's Back button leads to it.
//
// # Scripts
//
// Every page works without scripts. Scripts poll the capture page, whose state, files and settings
// may change in other sessions, follow a capture in progress, check filters while the user types,
// select the choice whose field the user types into, keep a form during a login, and close menus.
// Screen readers are told of changes, and the focus moves to a heading if its element disappears.
//
// # Requests of other sites
//
// http.CrossOriginProtection refuses requests that change something and come from another site's
// page. The cookie is SameSite=Strict in addition. Pages load nothing from other sites, and the
// Content-Security-Policy forbids it. There is no HSTS, because it would apply to every port of
// localhost, those of other programs included.
//
// # Connections
//
// conn.go wraps connections below net/http, for two reasons: scanners recognize the product by the
// header Server in the first line after the status line, whereas net/http sorts headers; and
// failed TLS handshakes are logged with the numbers and texts of AsyncOS's libraries (sslerror.go).
//
// # Captures in the browser
//
// Package dissect reads a stored capture in place: one pass makes an index, and a page of the list
// reads little more than what it shows. The latest indexes are kept and continued when a file has
// grown (indexes.go).
//
// # Lock order
//
// sessions.mu, session.mu, indexes.mu and run.mu are leaves. No lock is held during a pass over a
// file. Requests for the same index take turns, and a client that closes its connection stops
// waiting.
package web
