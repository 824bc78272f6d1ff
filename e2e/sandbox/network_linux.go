// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
)

// startNetwork sets up the loopback interface and the bridge. Nothing connects them to the network of the machine.
func startNetwork() error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = Bridge
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("cannot add a bridge: %w", err)
	}
	return errors.Join(
		netlink.LinkSetUp(loopback),
		netlink.LinkSetUp(bridge),
		addAddress(loopback, ServiceIP+"/32"),
		addAddress(bridge, Gateway+"/16"),
		// The bridge has no carrier, and thus no addresses that answer, as long as nothing is connected to it.
		os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0),
	)
}

// AddAddress gives the bridge another IPv4 address, that of a node.
func AddAddress(address string) error {
	bridge, err := netlink.LinkByName(Bridge)
	if err != nil {
		return err
	}
	return addAddress(bridge, address+"/32")
}

func addAddress(link netlink.Link, cidr string) error {
	address, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("cannot add the address %s: %w", cidr, err)
	}
	return nil
}
