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

// history is what has run so far.
type history struct {
	historyMu sync.Mutex
	ever      []*Replica
	read      map[string]*product.Records // by file, which a pod keeps when its node starts again
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

// Ever are all replicas that there have been.
func (c *Cluster) Ever() []*Replica {
	c.historyMu.Lock()
	defer c.historyMu.Unlock()
	return slices.Clone(c.ever)
}

// Replicas are those whose containers run and are not about to end.
func (c *Cluster) Replicas() []*Replica {
	return slices.DeleteFunc(c.Ever(), func(r *Replica) bool {
		terminating, _ := r.terminates()
		return terminating || !r.running()
	})
}

// Records are the records of all replicas, also of those that are gone, in no order but that of each run.
func (c *Cluster) Records() ([]product.Line, error) {
	var all []product.Line
	var errs []error
	seen := map[string]bool{}
	for _, r := range c.Ever() {
		if seen[r.stdout()] || r.pod.Spec.RestartPolicy == corev1.RestartPolicyNever { // it does not serve
			continue
		}
		seen[r.stdout()] = true
		lines, err := r.Records().Since(0)
		strays, strayErr := r.Records().Strays()
		errs = append(errs, err, strayErr)
		if len(strays) > 0 {
			errs = append(errs, fmt.Errorf("%s wrote what is no record: %q", r.Pod, strays[0]))
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

// program is the program of an image.
func (c *Cluster) program(image string) (string, error) {
	_, tag := splitImage(image)
	c.historyMu.Lock()
	defer c.historyMu.Unlock()
	path, found := c.options.Images[tag]
	if !found {
		return "", fmt.Errorf("pull %s: there is no such image", image)
	}
	return path, nil
}

// AddImage has an image with this tag be a program.
func (c *Cluster) AddImage(tag, program string) {
	c.historyMu.Lock()
	defer c.historyMu.Unlock()
	c.options.Images[tag] = program
}
