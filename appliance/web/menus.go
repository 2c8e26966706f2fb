package web

import (
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
)

// A page is an entry of a menu.
type page struct {
	menu    string
	Title   string
	Path    string
	command string          // the page is for the roles that may run it; "" admits every role
	since   product.Version // first version that has the page
}

// The menus. The bar shows them in this order, with optionsMenu and helpMenu at the right.
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
	leftMenus  = []string{monitorMenu, mailMenu, securityMenu, networkMenu, systemMenu}
	rightMenus = []string{optionsMenu, helpMenu}
)

// Commands whose roles pages and actions follow. Options.MayRun knows the roles.
const (
	captureCommand   = "packetcapture"
	interfaceCommand = "interfaceconfig"
	readLogsCommand  = "tail"
	logsCommand      = "logconfig"
	rolloverCommand  = "rollovernow"
	alertsCommand    = "alertconfig"
	commitCommand    = "commit"
)

// The pages. Their paths have the form that AsyncOS uses (logs.md 5.2).
var (
	statusPage = &page{menu: monitorMenu, Title: "System Status",
		Path: "/monitor/system_status"}
	interfacesPage = &page{
		menu: networkMenu, Title: "IP Interfaces", Path: "/network/ip_interfaces",
		command: interfaceCommand,
	}
	logsPage = &page{
		menu: systemMenu, Title: "Log Subscriptions",
		Path: "/system_administration/log_subscriptions", command: readLogsCommand,
	}
	alertsPage  = &page{menu: systemMenu, Title: "Alerts", Path: "/system_administration/alerts"}
	capturePage = &page{
		menu: helpMenu, Title: "Packet Capture", Path: "/help_and_support/packet_capture",
		command: captureCommand, since: product.Version{Major: 7},
	}
	helpPage = &page{
		menu: helpMenu, Title: "Online Help", Path: "/help_and_support/online_help",
	}
	logoutPage = &page{Title: "Log Out", Path: "/logout"}
	commitPage = &page{Title: "Uncommitted Changes", Path: "/commit"}
)

// pages are the pages that menus list.
var pages = []*page{statusPage, interfacesPage, alertsPage, logsPage, helpPage, capturePage}

// admits reports whether accounts of a role may see the page.
func (s *site) admits(p *page, r users.Role) bool {
	return p.command == "" || s.mayRun(r, p.command)
}

// A menu is a menu as an account sees it.
type menu struct {
	Title string
	Items []menuItem
}

// A menuItem is a page in a menu. It is shown without a link if the account's role does not
// permit the page, so that users learn what the appliance can do.
type menuItem struct {
	*page
	Permitted bool
}

// menus returns the menus with the given titles as accounts of a role see them.
func (s *site) menus(titles []string, r users.Role) []menu {
	var list []menu
	for _, t := range titles {
		m := menu{Title: t}
		for _, p := range pages {
			if p.menu == t && !s.appliance.Product.Version.Before(p.since) {
				m.Items = append(m.Items, menuItem{p, s.admits(p, r)})
			}
		}
		list = append(list, m)
	}
	return list
}
