// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/e2e/product"
)

// history has everything that has run so far.
type history struct {
	historyMu sync.Mutex
	ever      []*Replica
	read      map[string]*product.Records // by file, which a pod keeps when its node restarts
}

func (h *history) remember(r *Replica) {
	h.historyMu.Lock()
	defer h.historyMu.Unlock()
	h.ever = append(h.ever, r)
}

func (h *history) records(file string) *product.Records {
	h.historyMu.Lock()
	defer h.historyMu.Unlock()
	if h.read == nil {
		h.read = map[string]*product.Records{}
	}
	if h.read[file] == nil {
		h.read[file] = product.NewRecords(file)
	}
	return h.read[file]
}

// Ever returns all replicas so far.
func (c *Cluster) Ever() []*Replica {
	c.historyMu.Lock()
	defer c.historyMu.Unlock()
	return slices.Clone(c.ever)
}

// Replicas returns the replicas that run and are not terminating.
func (c *Cluster) Replicas() []*Replica {
	return slices.DeleteFunc(c.Ever(), func(r *Replica) bool {
		terminating, _ := r.terminates()
		return terminating || !r.running()
	})
}

// Records returns the records of all replicas so far, ordered only within each run.
func (c *Cluster) Records() ([]product.Line, error) {
	var all []product.Line
	var errs []error
	seen := map[string]bool{}
	for _, r := range c.Ever() {
		if seen[r.stdout()] || r.pod.Spec.RestartPolicy == corev1.RestartPolicyNever { // not a replica
			continue
		}
		seen[r.stdout()] = true
		lines, err := r.Records().Since(0)
		strays, strayErr := r.Records().Strays()
		errs = append(errs, err, strayErr)
		if len(strays) > 0 {
			errs = append(errs, fmt.Errorf("%s wrote a line that is no record: %q", r.Pod, strays[0]))
		}
		all = append(all, lines...)
	}
	return all, errors.Join(errs...)
}

// splitImage splits the name of an image into repository and tag.
func splitImage(image string) (repository, tag string) {
	i := strings.LastIndex(image, ":")
	return image[:max(i, 0)], image[i+1:]
}

// program returns the program of an image.
func (c *Cluster) program(image string) (string, error) {
	_, tag := splitImage(image)
	c.historyMu.Lock()
	defer c.historyMu.Unlock()
	path, found := c.options.Images[tag]
	if !found {
		return "", fmt.Errorf("pull %s: no such image", image)
	}
	return path, nil
}

// AddImage adds an image with this tag, which is a program.
func (c *Cluster) AddImage(tag, program string) {
	c.historyMu.Lock()
	defer c.historyMu.Unlock()
	c.options.Images[tag] = program
}
