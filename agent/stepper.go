package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/host"
)

// sight is how far a dataset is on this node, as last seen or made so.
type sight struct {
	phase   api.Phase
	volume  backend.Volume // zero where there is none
	device  backend.Device // zero where it is not attached here
	mounted uint64         // st_dev of what is mounted, 0 where nothing is
	bound   bool           // the read-only view is there
	filled  bool           // the mounted file system is known to be as large as its device
	clean   bool           // the file system was cleanly unmounted
	fs      string         // found on the device
	cause   string         // of a phase from which the agent does not go on by itself
	lost    string         // why the data of what is attached here ends with its device, "" for none
	foreign error          // a *backend.ForeignVolumeError where the volume is another dataset's
	epoch   uint64         // of the dataset when this was seen
	doubt   bool           // a step failed since: look before the next one
}

func (s sight) hostDevice() host.Device {
	return host.Device{Path: s.device.Path, Image: s.device.Image}
}

// stuckError is why the next step of a dataset cannot be taken.
type stuckError struct {
	seen  sight
	final bool
}

func (e *stuckError) Error() string { return e.seen.cause }
func (e *stuckError) Unwrap() error { return e.seen.foreign }

// isFinal reports whether waiting does not mend an error: a person has to.
func isFinal(err error) bool {
	if stuck, ok := errors.AsType[*stuckError](err); ok {
		return stuck.final
	}
	if api.IsZoneError(err) {
		return true
	}
	switch api.CodeOf(err) {
	case api.CodeDeleted, api.CodeNotFound, api.CodeInvalid:
		return true
	default:
		_, foreign := errors.AsType[*backend.ForeignVolumeError](err)
		return foreign || errors.Is(err, backend.ErrDamaged)
	}
}

// isLasting reports whether waiting alone does not mend an error. The agent goes on
// trying where there is no space or quota left, since an operator can make room.
func isLasting(err error) bool { return isFinal(err) || errors.Is(err, backend.ErrNoSpace) }

// stepper carries out the steps of a dataset on this machine. It decides
// nothing: each step brings the dataset to the next phase or fails.
type stepper struct {
	log      *slog.Logger
	backend  backend.Backend
	instance string // what the backend calls this machine
	root     *host.MountRoot
	journal  *journal
	views    views
	formats  host.Formatter
	stopper  backend.Stopper // nil where nothing can stop machines
	grower   backend.Grower  // nil where the backend cannot make volumes larger
	zones    zones
	holders  host.HolderSearch // for explaining failures, and for evictions
}

func (s *stepper) backendName() string              { return s.backend.Properties().Name }
func (s *stepper) path(id api.DatasetID) string     { return s.root.Path(string(id)) }
func (s *stepper) viewPath(id api.DatasetID) string { return s.root.Path(readOnlyName(id)) }
func (s *stepper) consumer(id string) *consumer     { return s.journal.get(id) }

// do carries out one step and returns how far the dataset is then.
func (s *stepper) do(ctx context.Context, act action, id api.DatasetID, record *api.Dataset, seen sight) (sight, error) {
	begin := time.Now()
	after, err := s.act(ctx, act, id, record, seen)
	if err == nil && act != actLook {
		s.log.Info(string(act), "dataset", id, "name", nameOf(record), "volume", after.volume.ID,
			"device", after.device.Path, "took", time.Since(begin).Round(time.Microsecond))
	}
	return after, err
}

func (s *stepper) act(ctx context.Context, act action, id api.DatasetID, record *api.Dataset, seen sight) (sight, error) {
	if act != actLook && act != actCreate && act != actUnmount && act != actRenew {
		// An unmount takes down what is at the dataset's own mount point.
		if err := s.checkOwner(id, seen.volume); err != nil {
			return seen, err
		}
	}
	switch act {
	case actLook:
		return s.look(ctx, id, record, seen)
	case actCreate:
		return s.create(ctx, id, record)
	case actAttach:
		return s.attach(ctx, id, record, seen)
	case actFormat:
		return s.format(ctx, record, seen)
	case actMount:
		return s.mount(ctx, id, record, seen)
	case actBind:
		return s.bind(id, seen)
	case actGrow:
		return s.grow(ctx, id, record, seen)
	case actGrowFS:
		return s.growFS(id, seen)
	case actUnmount:
		return s.unmount(id, seen)
	case actRenew:
		return s.renew(ctx, id, seen)
	case actRestore:
		return s.restore(ctx, id, record, seen)
	case actDetach:
		return s.detach(ctx, seen)
	case actDestroy:
		return s.destroy(ctx, seen)
	case actKeep:
		return seen, &stuckError{seen: sight{cause: seen.lost}}
	default:
		return seen, fmt.Errorf("no step for action %q", act)
	}
}

// look finds out how far a dataset is, without a process or a scan.
func (s *stepper) look(ctx context.Context, id api.DatasetID, record *api.Dataset, last sight) (sight, error) {
	volumeID := last.volume.ID
	if record != nil && record.Volume != nil {
		volumeID = record.Volume.ID
	}
	if volumeID == "" {
		return s.lookUnregistered(ctx, id, record)
	}
	volumes, err := s.backend.List(ctx, volumeID)
	if err != nil {
		return last, fmt.Errorf("look for volume %s: %w", volumeID, err)
	}
	if len(volumes) == 0 {
		if record == nil || record.Volume == nil {
			return sight{phase: api.PhaseNonExistent}, nil
		}
		if cause := s.foreignRecord(record); cause != "" {
			return sight{phase: api.PhaseElsewhere, cause: cause}, nil // it is not gone, it cannot be seen from here
		}
		if mounted, err := s.mountedAt(s.path(id)); err != nil || mounted != 0 && (last.mounted == 0 || last.mounted == mounted) {
			return s.bereaved(id, record, last, mounted), err
		}
		return sight{phase: api.PhaseVanished, cause: fmt.Sprintf("volume %s is registered for this dataset, but %s does not "+
			"have it; it is never made again, since its data would be missing: bring it back, or destroy the dataset",
			volumeID, s.backendName())}, nil
	}
	return s.judge(ctx, id, record, volumes[0])
}

// lookUnregistered finds out how far a dataset without a registered volume is.
// There may be one all the same, made just before a crash: creating it finds
// it, unless it is mounted already, or to be destroyed.
func (s *stepper) lookUnregistered(ctx context.Context, id api.DatasetID, record *api.Dataset) (sight, error) {
	mounted, err := s.mountedAt(s.path(id))
	if err != nil {
		return sight{phase: api.PhaseUnknown}, err
	}
	if mounted == 0 && (record == nil || !record.Deleted) {
		return sight{phase: api.PhaseNonExistent}, nil
	}
	volumes, err := s.backend.List(ctx)
	if err != nil {
		return sight{phase: api.PhaseUnknown}, fmt.Errorf("list volumes: %w", err)
	}
	i := slices.IndexFunc(volumes, func(v backend.Volume) bool { return v.DatasetID == string(id) })
	if i < 0 && mounted == 0 {
		return sight{phase: api.PhaseNonExistent}, nil
	}
	if i < 0 {
		return sight{phase: api.PhaseForeign, cause: fmt.Sprintf("something is mounted at %s, but %s has no volume of this "+
			"dataset: unmount it by hand", s.path(id), s.backendName())}, nil
	}
	return s.judge(ctx, id, record, volumes[i])
}

// judge tells the phase of a volume from what the backend says and, if it is
// attached here, from the device and the mount.
func (s *stepper) judge(ctx context.Context, id api.DatasetID, record *api.Dataset, v backend.Volume) (sight, error) {
	seen := sight{volume: v, lost: v.Lost}
	if err := s.checkOwner(id, v); err != nil {
		seen.phase, seen.foreign, seen.cause = api.PhaseForeign, err, err.Error()
		return seen, nil
	}
	if record != nil && record.Volume != nil && v.Size < record.Volume.Size {
		seen.phase = api.PhaseForeign
		seen.cause = fmt.Sprintf("volume %s has %d bytes now and had %d when it was registered: it was cut short; "+
			"it is not touched, so that what is left of it can be saved", v.ID, v.Size, record.Volume.Size)
		mounted, err := s.mountedAt(s.path(id))
		if err != nil || mounted == 0 || v.AttachedTo != s.instance {
			return s.whereForeign(v, seen), err
		}
		// Its users keep it, and it is unmounted after them.
		seen.lost, seen.cause = seen.cause+". End its containers: it is unmounted then", ""
		return s.judgeAttached(ctx, id, record, seen)
	}
	if v.AttachedTo == s.instance {
		return s.judgeAttached(ctx, id, record, seen)
	}
	mounted, err := s.mountedAt(s.path(id))
	switch {
	case err != nil:
		return seen, err
	case mounted != 0:
		seen.phase, seen.mounted = api.PhaseCut, mounted
		seen.cause = fmt.Sprintf("volume %s is mounted here, but %s has taken it away from this machine", v.ID, s.backendName())
		return seen, nil
	case v.AttachedTo == "":
		seen.phase = api.PhaseDetached
		if seen.cause = s.zones.foreign(v.ID, v.Zone); seen.cause != "" {
			seen.phase = api.PhaseElsewhere
		}
		return seen, nil
	default:
		seen.phase = api.PhaseElsewhere
		seen.cause = fmt.Sprintf("volume %s is attached to %s, although this node holds the dataset", v.ID, v.AttachedTo)
		return seen, nil
	}
}

func (s *stepper) judgeAttached(ctx context.Context, id api.DatasetID, record *api.Dataset, seen sight) (sight, error) {
	device, err := s.backend.Device(ctx, seen.volume.ID)
	if errors.Is(err, backend.ErrNotReady) || errors.Is(err, backend.ErrNotAttached) {
		// Attached, says the backend, but the kernel does not show it: not
		// yet, or no more since a reboot. Attaching again mends both.
		seen.phase = api.PhaseAttaching
		return seen, nil
	}
	if err != nil {
		return seen, fmt.Errorf("find device of volume %s: %w", seen.volume.ID, err)
	}
	seen.device = device
	mounted, err := s.mountedAt(s.path(id))
	if err != nil {
		return seen, err
	}
	if mounted != 0 {
		return s.judgeMounted(id, seen, mounted)
	}
	if device.Size != seen.volume.Size && !s.behind(seen) {
		seen.phase = api.PhaseForeign
		seen.cause = fmt.Sprintf("device %s has %d bytes, volume %s has %d: not the same thing", device.Path, device.Size,
			seen.volume.ID, seen.volume.Size)
		return seen, nil
	}
	return s.judgeSignature(record, seen)
}

func (s *stepper) judgeMounted(id api.DatasetID, seen sight, mounted uint64) (sight, error) {
	number, err := host.DeviceNumber(seen.device.Path)
	if err != nil {
		return seen, err
	}
	if number != mounted {
		seen.phase = api.PhaseForeign
		seen.cause = fmt.Sprintf("something other than %s is mounted at %s", seen.device.Path, s.path(id))
		return seen, nil
	}
	view, ok, err := host.Mounted(s.viewPath(id))
	if err != nil {
		return seen, err
	}
	seen.phase, seen.mounted = api.PhaseMounted, mounted
	seen.bound = ok && view.Device == mounted && view.ReadOnly
	return seen, s.views.check(mounted, s.root.Path)
}

// mountedAt returns the device number of what is mounted at target, 0 where
// nothing is.
func (s *stepper) mountedAt(target string) (uint64, error) {
	at, ok, err := host.Mounted(target)
	if err != nil || !ok {
		return 0, err
	}
	return at.Device, nil
}

// judgeSignature tells from what the device carries whether it may be mounted,
// must be formatted, or is not to be touched.
func (s *stepper) judgeSignature(record *api.Dataset, seen sight) (sight, error) {
	sig, err := host.Probe(seen.hostDevice())
	if errors.Is(err, host.ErrBusy) {
		seen.phase = api.PhaseAttached // what is on it cannot be told yet
	}
	if err != nil {
		return seen, err
	}
	registered := record != nil && record.Volume != nil
	switch {
	case sig.Kind == host.Blank && registered:
		seen.phase = api.PhaseForeign
		seen.cause = fmt.Sprintf("device %s is blank, but volume %s was formatted and in use: it was overwritten; "+
			"it is not formatted again, since that would hide the loss", seen.device.Path, seen.volume.ID)
	case sig.Kind == host.Blank:
		seen.phase = api.PhaseBlank
	case sig.Kind == host.Filesystem && (record == nil || sig.Type == record.FS || record.FS == "" && (sig.Type == api.FSExt4 || sig.Type == api.FSXFS)):
		seen.phase, seen.clean, seen.fs = api.PhaseAttached, sig.Clean, sig.Type
	default:
		seen.phase = api.PhaseForeign
		seen.cause = fmt.Sprintf("device %s carries %s where %s should be: it is neither formatted nor mounted",
			seen.device.Path, sig, fsOf(record))
	}
	return seen, nil
}

func fsOf(record *api.Dataset) string {
	if record == nil {
		return "a file system"
	}
	return record.FS
}

// create makes the volume, or finds the one that was made before a crash.
func (s *stepper) create(ctx context.Context, id api.DatasetID, record *api.Dataset) (sight, error) {
	if err := s.checkSize(record); err != nil {
		return sight{phase: api.PhaseNonExistent}, err
	}
	v, err := s.backend.Create(ctx, backend.CreateRequest{
		DatasetID: string(id),
		Size:      s.wanted(record),
		Profile:   record.Profile(),
		Name:      record.Name(),
	})
	if err != nil {
		return sight{phase: api.PhaseNonExistent}, err
	}
	fault.Point("agent.created")
	return s.judge(ctx, id, record, v)
}

func (s *stepper) attach(ctx context.Context, id api.DatasetID, record *api.Dataset, seen sight) (sight, error) {
	if err := s.attachUnder(ctx, seen.volume.ID, epochOf(record)); err != nil {
		return seen, err
	}
	fault.Point("agent.attached")
	seen.volume.AttachedTo = s.instance
	s.rename(ctx, record, &seen.volume)
	after, err := s.judgeAttached(ctx, id, record, seen)
	if err == nil && after.phase == api.PhaseAttaching {
		return after, fmt.Errorf("attach volume %s: %w", seen.volume.ID, backend.ErrNotReady)
	}
	return after, err
}

// rename stores the dataset's present name with the volume, by which it is found when
// the log is lost.
func (s *stepper) rename(ctx context.Context, record *api.Dataset, v *backend.Volume) {
	namer, ok := s.backend.(backend.Namer)
	if !ok || record == nil || v.Name == record.Name() {
		return
	}
	if err := namer.SetName(ctx, v.ID, record.Name()); err != nil {
		s.log.Warn("cannot give the volume its dataset's name", "dataset", record.ID, "name", record.Name(), "volume", v.ID, "cause", err)
		return
	}
	v.Name = record.Name()
}

// attachUnder attaches, and has the storage refuse it if it can tell that this
// node's token is of the past.
func (s *stepper) attachUnder(ctx context.Context, volumeID string, epoch uint64) error {
	if guard, ok := s.backend.(backend.Guard); ok {
		return guard.AttachUnder(ctx, volumeID, s.instance, epoch)
	}
	return s.backend.Attach(ctx, volumeID, s.instance)
}

func (s *stepper) format(ctx context.Context, record *api.Dataset, seen sight) (sight, error) {
	if err := s.formats.Format(ctx, seen.hostDevice(), record.FS, s.owner(record)); err != nil {
		return seen, err
	}
	fault.Point("agent.formatted")
	seen.phase, seen.clean = api.PhaseAttached, true
	return seen, nil
}

func (s *stepper) mount(ctx context.Context, id api.DatasetID, record *api.Dataset, seen sight) (sight, error) {
	if !seen.clean {
		if err := host.Check(ctx, seen.hostDevice()); err != nil {
			return seen, err
		}
		fault.Point("agent.checked")
	}
	target, err := s.root.MakeMountPoint(string(id))
	if err != nil {
		return seen, err
	}
	if err := s.mountDevice(ctx, id, record, seen, target); err != nil {
		return seen, err
	}
	fault.Point("agent.mounted")
	// mke2fs has just made one, or e2fsck may have.
	if !seen.clean || record.Volume == nil {
		if err := host.DropLostFound(target); err != nil {
			return seen, err
		}
	}
	number, err := host.DeviceNumber(seen.device.Path)
	if err != nil {
		return seen, err
	}
	seen.phase, seen.mounted = api.PhaseMounted, number
	return seen, nil
}

// bind makes the read-only view.
func (s *stepper) bind(id api.DatasetID, seen sight) (sight, error) {
	target, err := s.root.MakeMountPoint(readOnlyName(id))
	if err != nil {
		return seen, err
	}
	if err := host.BindReadOnly(s.path(id), target); err != nil {
		return seen, err
	}
	fault.Point("agent.bound")
	seen.bound = true
	return seen, nil
}

// forget removes the mount points of a dataset that is no concern of this node.
func (s *stepper) forget(id api.DatasetID) {
	for _, name := range []string{readOnlyName(id), string(id)} {
		if err := s.root.RemoveMountPoint(name); err != nil {
			s.log.Warn("cannot remove mount point", "dataset", id, "cause", err)
		}
	}
}

func (s *stepper) detach(ctx context.Context, seen sight) (sight, error) {
	if seen.volume.ID == "" {
		return seen, &stuckError{seen: seen, final: true}
	}
	// A container has the volume mounted when the host has unmounted it, and not
	// every storage system refuses to take away a device in use.
	if seen.device.Path != "" {
		if err := host.CheckIdle(seen.device.Path); err != nil {
			return seen, err
		}
	}
	err := s.backend.Detach(ctx, seen.volume.ID, s.instance, backend.DetachNormal)
	if errors.Is(err, backend.ErrUnknownVolume) || err == nil && seen.lost != "" {
		return sight{phase: api.PhaseUnknown, volume: seen.volume}, nil // what is left of it has to be looked up
	}
	if err != nil {
		return seen, err
	}
	fault.Point("agent.detached")
	seen.volume.AttachedTo = ""
	return sight{phase: api.PhaseDetached, volume: seen.volume}, nil
}

func (s *stepper) destroy(ctx context.Context, seen sight) (sight, error) {
	if err := s.backend.Destroy(ctx, seen.volume.ID); err != nil {
		return seen, err
	}
	fault.Point("agent.destroyed")
	return sight{phase: api.PhaseNonExistent}, nil
}
