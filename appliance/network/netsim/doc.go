// Package netsim is the appliance's simulated network.
package netsim
