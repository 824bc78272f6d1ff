// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime returns the CPU time of all threads of a process since its start, to the nanosecond: /proc rounds it to 10 ms.
func CPUTime(pid int) (time.Duration, error) {
	// The number of a process's clock: MAKE_PROCESS_CPUCLOCK in Linux' include/linux/posix-timers.h, with CPUCLOCK_SCHED.
	const scheduler = 2
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &used); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return time.Duration(used.Nano()), nil
}

// ResidentMiB returns the resident memory of a process, in MiB.
func ResidentMiB(pid int) (float64, error) { return statusMiB(pid, "VmRSS:") }

// AnonymousMiB returns the resident memory without the pages of the program's own file, which the kernel can drop at any time.
func AnonymousMiB(pid int) (float64, error) { return statusMiB(pid, "RssAnon:") }

func statusMiB(pid int, field string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, field)
}
