package rig

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"noderestriction.plus/e2e/product"
)

// history is what has run so far.
type history struct {
	historyMu sync.Mutex
	ever      []*Replica
	read      map[*Replica]*product.Records
}

func (h *history) remember(r *Replica) {
	h.historyMu.Lock()
	defer h.historyMu.Unlock()
	h.ever = append(h.ever, r)
}

func (h *history) records(r *Replica) *product.Records {
	h.historyMu.Lock()
	defer h.historyMu.Unlock()
	if h.read == nil {
		h.read = map[*Replica]*product.Records{}
	}
	if h.read[r] == nil {
		h.read[r] = product.NewRecords(r.stdout())
	}
	return h.read[r]
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
	for _, r := range c.Ever() {
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
	path, found := c.options.Images[tag]
	if !found {
		return "", fmt.Errorf("pull %s: there is no such image", image)
	}
	return path, nil
}
