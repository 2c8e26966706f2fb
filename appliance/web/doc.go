// Package web is the page: the process gui of the appliance, to which a browser talks.
//
//	cert, err := web.Certificate(file, entropy, hosts, logger)
//	s := web.New(web.Options{Box: box, Certificate: cert, Outside: https})
//	box.Add(s)
//
// It speaks HTTP/1.1, as AsyncOS does, on the ports of the IP interfaces; what comes in
// plain is sent on to HTTPS where the interface has that (redirect.go says where to). It
// needs no script to be usable: scripts only refresh, check while one types, choose what
// one types into, keep a form over a login that was due, and close menus.
//
// # Pages
//
// A page is an entry of pages (menus.go): its menu, its path, who may see it, and since
// which version it is there. Its handlers are registered in site.go, its template is in
// templates. Only pages that exist are in a menu. Who may do what follows the command
// that does the same (packetcapture, logconfig, rollovernow, commit, ...).
//
// # Sessions
//
// A login makes a session with an id of 20 letters and digits, which the logs show, and a
// secret that they do not show: the cookie is both. So whoever may read logs cannot take
// over a session. The cookie's name has the port that the browser connected to, as
// browsers share cookies among the ports of a host, and several appliances on localhost
// would log each other out. A session ends when nobody has done anything for the time
// that adminaccessconfig says: a page that refreshes itself is not somebody doing
// something. It ends too when its account is changed, locked or removed. Sessions do not
// survive the process; captures of the page end only with the appliance (B8).
//
// A session has a config.Draft of its own, which several tabs share. What is pending in it
// is not thrown away without a question. A notice of what became of a form is kept for the
// page that the browser is sent to, so that other tabs do not show it.
//
// # Forms
//
// A form that is refused is shown again as it was filled in, with a sentence at each field
// that is wrong (fields.go); each is judged in settings that are right but for it, by the
// rules of the package whose settings they are. What stands under a choice that was not
// chosen is refused instead of dropped. A passphrase is never sent to the browser, and one
// that is stored stays with the server and the user that it was entered for. A question,
// such as whether to delete, is a page of its own, so that one can go back to it.
//
// # Requests from elsewhere
//
// http.CrossOriginProtection refuses what another site's page sends; the cookie is
// SameSite=Strict besides. Nothing is loaded from anywhere else, and the policy in the
// answer's headers forbids it. There is no HSTS: it would bind every port of localhost,
// also those of other programs.
//
// # Captures in the browser
//
// A saved capture is read where it lies, by package dissect: one pass makes an index, and
// a page of the list reads what it shows and little else. The last indexes are kept for
// the next page, and continued where a file has grown (indexes.go).
//
// # Lock order
//
// sessions.mu and session.mu are leaves, as is indexes.mu. A pass over a file holds no
// lock: two browsers that ask for the same file take turns, and who leaves waits no more.
package web
