package web

import (
	"slices"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
)

// A page is what a menu leads to.
type page struct {
	menu  string
	Title string
	Path  string
	roles []users.Role    // who may see it; nil: everybody
	since product.Version // first version that has it
}

// The menus, in the order of the bar; helpMenu stands at the right.
const (
	monitorMenu  = "Monitor"
	mailMenu     = "Mail Policies"
	securityMenu = "Security Services"
	networkMenu  = "Network"
	systemMenu   = "System Administration"
	optionsMenu  = "Options"
	helpMenu     = "Help and Support"
)

var (
	barMenus   = []string{monitorMenu, mailMenu, securityMenu, networkMenu, systemMenu}
	rightMenus = []string{optionsMenu, helpMenu}
)

// Who may do what, as with the commands.
var (
	operators  = []users.Role{users.Administrator, users.Operator}
	logReaders = []users.Role{users.Administrator, users.Operator, users.ReadOnlyOperator}
)

// The pages. Their paths are of the form that AsyncOS uses (logs.md 5.2).
var (
	statusPage     = &page{menu: monitorMenu, Title: "System Status", Path: "/monitor/system_status"}
	interfacesPage = &page{menu: networkMenu, Title: "IP Interfaces", Path: "/network/ip_interfaces", roles: operators}
	logsPage       = &page{menu: systemMenu, Title: "Log Subscriptions", Path: "/system_administration/log_subscriptions", roles: logReaders}
	alertsPage     = &page{menu: systemMenu, Title: "Alerts", Path: "/system_administration/alerts"}
	capturePage    = &page{menu: helpMenu, Title: "Packet Capture", Path: "/help_and_support/packet_capture", roles: operators, since: product.Version{Major: 7}}
	helpPage       = &page{menu: helpMenu, Title: "Online Help", Path: "/help_and_support/online_help"}
	logoutPage     = &page{Title: "Log Out", Path: "/logout"}
	commitPage     = &page{Title: "Uncommitted Changes", Path: "/commit"}
)

// pages are those that stand in menus.
var pages = []*page{statusPage, interfacesPage, alertsPage, logsPage, helpPage, capturePage}

// allows reports whether a role may see the page.
func (p *page) allows(r users.Role) bool { return p.roles == nil || slices.Contains(p.roles, r) }

// A menu is one as a user sees it.
type menu struct {
	Title string
	Items []*page
}

// menus are those called titles, with what a role may see of a version.
func menus(titles []string, r users.Role, v product.Version) []menu {
	var list []menu
	for _, t := range titles {
		m := menu{Title: t}
		for _, p := range pages {
			if p.menu == t && p.allows(r) && !v.Before(p.since) {
				m.Items = append(m.Items, p)
			}
		}
		list = append(list, m)
	}
	return list
}
