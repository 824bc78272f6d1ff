// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/command"
)

const (
	// textWidth is how wide texts are, in columns.
	textWidth = 110
	// maxLines bounds how many lines of a class a text has.
	maxLines = 60
	// indent begins the lines below a title.
	indent = "  "
)

// line is a line of a text: the permissions with the same resource, objects and cause.
type line struct {
	danger, resource, scope, cause string
	verbs                          []string
}

// lines merges the verbs of permissions that differ in nothing else. Permissions have to be sorted.
func lines(items []*Right) []*line {
	var merged []*line
	index := map[[4]string]*line{}
	for _, r := range items {
		resource := r.Resource
		if r.Path != "" {
			resource = r.Path
		}
		key := [4]string{r.Danger, resource, r.scope(), r.cause()}
		l := index[key]
		if l == nil {
			l = &line{danger: key[0], resource: key[1], scope: key[2], cause: key[3]}
			index[key] = l
			merged = append(merged, l)
		}
		if !slices.Contains(l.verbs, r.Verb) {
			l.verbs = append(l.verbs, r.Verb)
		}
	}
	for _, l := range merged {
		slices.SortStableFunc(l.verbs, func(a, b string) int { return verbOrder(a) - verbOrder(b) })
	}
	return merged
}

// cause says in one line why a permission is allowed, or what is to be said of it.
func (r *Right) cause() string {
	var causes []string
	for i := range r.Grants {
		s := &r.Grants[i]
		cause := s.Binding + " → " + s.Role
		if s.AggregatedFrom != "" {
			cause += " (from " + s.AggregatedFrom + ")"
		}
		causes = append(causes, cause)
	}
	if r.MoreGrants > 0 {
		causes = append(causes, fmt.Sprintf("%d more", r.MoreGrants))
	}
	cause := strings.Join(causes, ", ")
	switch {
	case r.AcceptedFor != "":
		cause += ": " + r.AcceptedFor
	case r.Note != "":
		cause += ": " + r.Note
	}
	if r.Reason != "" && (len(r.Grants) == 0 || !strings.HasPrefix(r.Reason, "RBAC: allowed by ")) {
		cause += ": " + r.Reason
	}
	return strings.TrimPrefix(cause, ": ")
}

// of returns the permissions of a class.
func (r *Report) of(class Class) []*Right {
	var items []*Right
	for i := range r.Items {
		if r.Items[i].Class == class {
			items = append(items, &r.Items[i])
		}
	}
	return items
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	b.WriteString(strings.Join(r.head(), "\n") + "\n")
	for _, part := range []struct {
		class Class
		title string
	}{
		{Widened, "WIDENED: the kubelet has %s that the Node authorizer refuses"},
		{Missing, "MISSING: the kubelet lacks %s that the Node authorizer intends"},
		{Unknown, "UNKNOWN: the API server failed to answer about %s"},
		{Accepted, "ACCEPTED: %s beyond the intent, with a reason"},
		{Known, "KNOWN: %s that Kubernetes or a distribution adds"},
	} {
		items := r.of(part.class)
		if len(items) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n"+part.title+"\n", permissions(len(items)))
		merged := lines(items)
		if part.class == Known {
			merged = mergeResources(merged)
		}
		if err := writeLines(&b, merged); err != nil {
			return err
		}
		if part.class == Widened {
			r.writeBindings(&b)
		}
	}
	intended, narrowed := r.Counts[Intended], r.Counts[Narrowed]
	fmt.Fprintf(&b, "\nINTENDED: %s; only the NodeRestriction admission plugin narrows %d of them\n",
		permissions(intended+narrowed), narrowed)
	b.WriteString(command.Wrap(strings.Join(names(r.of(Narrowed)), ", "), indent, textWidth))
	fmt.Fprintf(&b, "\nREFUSED: %d. NOT ASKED: %d.\n", r.Counts[Refused], r.Counts[Untried])
	for _, lack := range r.Lacking {
		b.WriteString(command.Wrap("Lacking: "+lack.Permission+": "+lack.Without+".", "", textWidth))
	}
	for _, note := range r.Notes {
		b.WriteString(command.Wrap("Note: "+note+".", "", textWidth))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// permissions is a number of permissions in words.
func permissions(n int) string {
	if n == 1 {
		return "1 permission"
	}
	return fmt.Sprintf("%d permissions", n)
}

// head returns who was asked, about whom and how.
func (r *Report) head() []string {
	first := fmt.Sprintf("%s (%s; %s)", r.Node, r.User, strings.Join(r.Groups, ", "))
	second := "compared with the Node authorizer of Kubernetes " + r.Table
	if r.ServerVersion != "" {
		second = "Kubernetes " + r.ServerVersion + ", " + second
	}
	return []string{first, fmt.Sprintf("%s, %s; the Node authorizer: %s", second, r.How, r.NodeAuthorizer)}
}

// names returns the resources of permissions with their verbs, such as pods create delete.
func names(items []*Right) []string {
	var list []string
	verbsOf := map[string][]string{}
	for _, r := range items {
		if verbsOf[r.Resource] == nil {
			list = append(list, r.Resource)
		}
		if !slices.Contains(verbsOf[r.Resource], r.Verb) {
			verbsOf[r.Resource] = append(verbsOf[r.Resource], r.Verb)
		}
	}
	for i, resource := range list {
		slices.SortFunc(verbsOf[resource], func(a, b string) int { return verbOrder(a) - verbOrder(b) })
		list[i] = resource + " " + strings.Join(verbsOf[resource], " ")
	}
	return list
}

// mergeResources merges lines that differ only in the resource.
func mergeResources(of []*line) []*line {
	var merged []*line
	index := map[[4]string]*line{}
	for _, l := range of {
		key := [4]string{l.danger, strings.Join(l.verbs, " "), l.scope, l.cause}
		if first := index[key]; first != nil {
			first.resource += " " + l.resource
			continue
		}
		index[key] = l
		merged = append(merged, l)
	}
	return merged
}

func writeLines(w io.Writer, merged []*line) error {
	table := command.Table{Header: []string{"", "", "", "", ""}}
	for _, l := range merged[:min(len(merged), maxLines)] {
		table.Add(indent+l.danger, l.resource, strings.Join(l.verbs, " "), l.scope, l.cause)
	}
	var b strings.Builder
	if err := table.Write(&b); err != nil {
		return err
	}
	_, rows, _ := strings.Cut(b.String(), "\n") // without the empty header
	if more := len(merged) - maxLines; more > 0 {
		rows += fmt.Sprintf("%sand %d more lines; -o json has all\n", indent, more)
	}
	_, err := io.WriteString(w, rows)
	return err
}

func (r *Report) writeBindings(w io.Writer) {
	for i := range r.Bindings[:min(len(r.Bindings), maxLines)] {
		b := &r.Bindings[i]
		fmt.Fprintf(w, "%s%s gives %s %d of them", indent, b.Binding, b.Subject, b.Rights)
		if b.Alone < b.Rights {
			fmt.Fprintf(w, "; no other binding gives %d of these", b.Alone)
		}
		if b.Distribution != "" {
			fmt.Fprintf(w, " (%s ships it: %s)", b.Distribution, b.Effect)
		}
		fmt.Fprintln(w)
		if b.Fix != "" {
			fmt.Fprintf(w, "%s%s%s\n", indent, indent, b.Fix)
		}
	}
}

// WriteText writes the uses for people.
func (u *Usage) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events, %d of them requests of kubelets", u.Events, u.Kubelets)
	if u.From != nil {
		fmt.Fprintf(&b, ", from %s to %s", u.From.Format(time.RFC3339), u.To.Format(time.RFC3339))
	}
	fmt.Fprintf(&b, ", compared with the Node authorizer of Kubernetes %s\n", u.Table)
	for _, part := range []struct {
		class Class
		title string
	}{
		{Widened, "WIDENED PERMISSIONS THAT WERE USED"},
		{Accepted, "ACCEPTED PERMISSIONS THAT WERE USED"},
		{Known, "KNOWN PERMISSIONS THAT WERE USED"},
	} {
		table := command.Table{Header: []string{indent + "DANGER", "RESOURCE", "VERB", "NAMESPACE", "BY", "TIMES", "NODES", "LAST", "BINDING"}}
		rows := 0
		for i := range u.Items {
			use := &u.Items[i]
			if use.Class != part.class {
				continue
			}
			if rows++; rows <= maxLines {
				table.Add(indent+use.Danger, use.Resource, use.Verb, use.Namespace, use.UserAgent, fmt.Sprint(use.Count), fmt.Sprint(use.Nodes),
					use.Last.Format("2006-01-02 15:04"), use.Binding)
			}
		}
		if rows == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s: %d\n", part.title, rows)
		if err := table.Write(&b); err != nil {
			return err
		}
		if rows > maxLines {
			fmt.Fprintf(&b, "%sand %d more lines; -o json has all\n", indent, rows-maxLines)
		}
	}
	for i := range u.Bindings[:min(len(u.Bindings), maxLines)] {
		c := &u.Bindings[i]
		if i == 0 {
			b.WriteString("\nBINDINGS THAT GIVE MORE THAN IS INTENDED\n")
		}
		fmt.Fprintf(&b, "%s%s gives %s %d permissions; %d of them were used, in %d requests\n",
			indent, c.Binding, c.Subject, c.Rights, c.Used, c.Uses)
		if c.Uses == 0 && c.Fix != "" {
			fmt.Fprintf(&b, "%s%snobody needed it in this time: %s\n", indent, indent, c.Fix)
		}
	}
	if len(u.Items) == 0 {
		b.WriteString("\nNo kubelet used a permission that the Node authorizer does not intend.\n")
	}
	b.WriteString("\n")
	if u.Unreadable > 0 {
		fmt.Fprintf(&b, "Note: %d events could not be read.\n", u.Unreadable)
	}
	if u.WithoutWhy > 0 {
		fmt.Fprintf(&b, "Note: %d requests of kubelets have no annotation that says why they were allowed.\n", u.WithoutWhy)
	}
	if u.More > 0 {
		fmt.Fprintf(&b, "Note: %d further requests are not listed: there are more than %d different ones.\n", u.More, maxUses)
	}
	for _, note := range u.Notes {
		b.WriteString(command.Wrap("Note: "+note+".", "", textWidth))
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}
