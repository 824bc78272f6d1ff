// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import "net"

// FreePorts returns n different free ports of the loopback interface.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// All are held until the last one is found, so that they differ.
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
