package api

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A volume set is what gives each of an app's instances a volume of its own. Its
// members are datasets like any other, called NAME.0, NAME.1, ... Which consumer
// has which member is in the members' records; who waits for one, in the set's.

// MaxMembers is how many members a set can be asked to have.
const MaxMembers = 1000

// Member is what makes a dataset the member of a volume set. It is no part of the
// metadata, which are the user's.
type Member struct {
	Set   string `json:"set"`
	Index int    `json:"index"`
	// User has the member to itself, whether it is mounted yet or not. nil: free.
	User *MemberUser `json:"user,omitempty"`
	// Last is the instance that had it last: its relaunch prefers it.
	Last string `json:"last,omitempty"`
	// Sought says that who waits for a member would have this one, whose user's node
	// is lost: so that node has to be fenced.
	Sought bool `json:"sought,omitempty"`
}

// MemberUser is who has a member of a set.
type MemberUser struct {
	Node NodeID `json:"node"`
	// Consumer is the container, or the outermost one that it is in: the containers
	// of a pod's instance share what the instance has.
	Consumer string `json:"consumer"`
	Instance string `json:"instance,omitempty"` // as Marathon calls it; see InstanceOf
	// Claim is the revision of the claim by which it was given, or claimed again. Who
	// frees the member names it, so that what is late frees nothing.
	Claim uint64    `json:"claim"`
	Since time.Time `json:"since"`
}

// UserOn returns who has the dataset as a member of a set, if that is on node.
func (d *Dataset) UserOn(node NodeID) *MemberUser {
	if d == nil || d.Member == nil || d.Member.User == nil || d.Member.User.Node != node {
		return nil
	}
	return d.Member.User
}

// VolumeSet is the record of a set: what is known of it beside its members. There
// is none while nobody waits and nobody has said how many members there may be.
type VolumeSet struct {
	Name     string      `json:"name"`
	Revision uint64      `json:"revision"`
	Count    *int        `json:"count,omitempty"` // members that Marathon's instances need, nil where nobody has said
	Waiting  []SetWaiter `json:"waiting,omitempty"`
	// Owner is the one for which the record was made. The owner of the members goes
	// before it, where there are any.
	Owner Owner `json:"owner,omitempty"`
}

// SetWaiter is a consumer that waits for a member, first come first.
type SetWaiter struct {
	Node     NodeID    `json:"node"`
	Consumer string    `json:"consumer"`
	Instance string    `json:"instance,omitempty"`
	Since    time.Time `json:"since"`
	Each     int       `json:"each,omitempty"`       // as in MemberRequest
	Index    *int      `json:"index,omitempty"`      // the only member that will do
	ID       DatasetID `json:"dataset_id,omitempty"` // likewise: it has had that one
	// What follows is for making a member. NewID is its id then.
	Size        int64     `json:"size,omitempty"`
	DefaultSize int64     `json:"default_size"`
	FS          string    `json:"fs,omitempty"`
	Profile     string    `json:"profile,omitempty"`
	NewID       DatasetID `json:"new_id"`
	User        string    `json:"user,omitempty"`
	Permissions string    `json:"permissions,omitempty"`
	Owner       Owner     `json:"owner,omitempty"` // of the consumer
	App         string    `json:"app,omitempty"`   // as in DatasetSpec
}

// Waits reports whether a consumer on a node waits, and as which, from 1 on.
func (v *VolumeSet) Waits(node NodeID, consumer string) (place int, ok bool) {
	if v == nil {
		return 0, false
	}
	for i, w := range v.Waiting {
		if w.Node == node && w.Consumer == consumer {
			return i + 1, true
		}
	}
	return 0, false
}

// MemberName is what the member of a set is called.
func MemberName(set string, index int) string { return set + "." + strconv.Itoa(index) }

// ParseMemberName is the reverse of MemberName.
func ParseMemberName(name string) (set string, index int, ok bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 {
		return "", 0, false
	}
	index, err := strconv.Atoi(name[dot+1:])
	if err != nil || index < 0 || MemberName(name[:dot], index) != name {
		return "", 0, false
	}
	return name[:dot], index, true
}

// MemberRequest says that a consumer on the node wants a member of a set, or no
// longer waits for one. Asking again changes nothing.
type MemberRequest struct {
	Stream   uint64 `json:"stream"`
	Consumer string `json:"consumer"`
	Instance string `json:"instance,omitempty"`
	// Set is called Name; the rest says what a member that has to be made is like.
	Set DatasetSpec `json:"set"`
	// Each is how many members there may be, or EachInstance.
	Each int `json:"each,omitempty"`
	// Index is the only member that will do: an instance that has one of several
	// sets has the same one of each.
	Index *int `json:"index,omitempty"`
	// ID is the member that the consumer has been given before, and lost: only that
	// one will do, since the consumer may have it mounted still.
	ID    DatasetID `json:"dataset_id,omitempty"`
	Leave bool      `json:"leave,omitempty"` // wait no longer
	// Owner is for which the node acts: that of the consumer.
	Owner Owner `json:"owner,omitempty"`
}

// MemberReply is the answer to a MemberRequest.
type MemberReply struct {
	Dataset *Dataset `json:"dataset,omitempty"` // the member that the consumer has
	Place   int      `json:"place,omitempty"`   // in the queue of the set, from 1 on
	Why     string   `json:"why,omitempty"`     // why it has to wait
}

// RootConsumer returns which container a Mesos container is in, itself if it is in
// none.
func RootConsumer(consumer string) string {
	root, _, _ := strings.Cut(consumer, ".")
	return root
}

// InstanceOf returns to which instance of an app or a pod a task belongs, by the
// id that Marathon has given it; "" where Marathon has not, or it is one that does
// not tell. The next attempt to run the same instance has the same one.
func InstanceOf(taskID string) string {
	const mark, uuid = ".instance-", len("01234567-89ab-cdef-0123-456789abcdef")
	at := strings.LastIndex(taskID, mark)
	if at <= 0 || len(taskID) < at+len(mark)+uuid {
		return ""
	}
	id, rest := taskID[:at+len(mark)+uuid], taskID[at+len(mark)+uuid:]
	if strings.Trim(id[at+len(mark):], "0123456789abcdef-") != "" || rest != "" && rest[0] != '.' {
		return ""
	}
	return id
}

// String names the member for people.
func (m *Member) String() string {
	return fmt.Sprintf("member %d of the volume set %s", m.Index, m.Set)
}
