package check

// Rule is one thing that is looked for.
type Rule struct {
	ID       string
	Severity Severity // of most of its findings
	Finds    string
	Why      string
	Fix      string // in general; a finding may know better
	Mends    bool   // there is a patch, for some findings at least

	always bool // also looks at what could not be read
	look   func(*probe)
}

// Rules lists all rules, in the order in which they look.
func Rules() []*Rule {
	return []*Rule{
		{
			ID: "unreadable", Severity: Error, always: true, Mends: true, look: lookUnreadable,
			Finds: "a setting has a value of a kind that it cannot have, such as a number as a label's value",
			Why:   "Marathon refuses the whole definition.",
			Fix:   "give it a value of the right kind",
		},
		{
			ID: ruleNames, Severity: Error, always: true, Mends: true, look: lookKeys,
			Finds: "a name is almost that of a setting, such as upgradestrategy, or one of an app's in a pod",
			Why:   "Marathon ignores names that it does not know without a word, and takes its default.",
			Fix:   "write the name as Marathon has it",
		},
		{
			ID: "refused", Severity: Error, always: true, look: lookRefused,
			Finds: "a value that Marathon refuses in any definition, such as a capacity of 2 or a constraint with an unknown operator",
			Why:   "Marathon refuses the whole definition.",
			Fix:   "write a value that Marathon takes",
		},
		{
			ID: "set-twice", Severity: Warning, always: true, look: lookTwice,
			Finds: "a setting or a label is there twice in one object",
			Why:   "Only the last one counts, and the other is dropped without a word.",
			Fix:   "remove the one that is not meant",
		},
		{
			ID: "label", Severity: Error, Mends: true, look: lookMistakes,
			Finds: "a label or variable of ours has a mistake",
			Why:   "The agent refuses the container before it starts, and every one that Marathon starts after it.",
			Fix:   "mend the label",
		},
		{
			ID: "label-ignored", Severity: Error, Mends: true, look: lookIgnored,
			Finds: "a label is almost one of ours, such as flocker.volumes.data",
			Why: "Flocker does not read it: the app starts without its volume and writes into its sandbox, which is deleted some time " +
				"after it has ended.",
			Fix: "write the label as flocker.volume.KEY or flocker.volume.KEY.SETTING",
		},
		{
			ID: "label-too-long", Severity: Error, look: lookLong,
			Finds: "a label of ours whose value has 512 characters or more, or whose key has 493 or more",
			Why: "Marathon leaves it out of the environment, and in a pod that is the one way on which a label reaches the " +
				"container: it starts without its volume. In an app the label itself arrives, so there it is a note.",
			Fix: "shorten it; settings can have labels of their own, as in flocker.volume.KEY.name",
		},
		{
			ID: "docker-containerizer", Severity: Error, Mends: true, look: lookDocker,
			Finds: "container.type is DOCKER, or missing beside an image, which is the same",
			Why: "Docker's containerizer asks no isolator: the app starts without its volume and writes into the " +
				"container's own layer, which is deleted with it.",
			Fix: `set container.type to "MESOS": Mesos runs the same image`,
		},
		{
			ID: "instances", Severity: Error, look: lookInstances,
			Finds: "more than one instance, and a volume that they would share",
			Why: "A volume is on one machine at a time: instances on other machines wait for it, fail, and are started again, " +
				"for ever.",
			Fix: "set instances to 1, or give each instance a volume of its own: flocker.volume.KEY.each = true",
		},
		{
			ID: "each-too-few", Severity: Error, Mends: true, look: lookMembers,
			Finds: "a volume set with fewer members than the app has instances",
			Why:   "The instances beyond that never get a volume: they wait, fail, and are started again.",
			Fix:   "set each to true, which follows the number of instances, or to that number",
		},
		{
			ID: "each-unknown", Severity: Error, look: lookUnfollowed,
			Finds: "a volume set with a member for each instance, and a control service that does not follow Marathon",
			Why:   "Only Marathon can say how many instances there are: the agent refuses the container.",
			Fix:   "have the control service follow Marathon (flocker control --marathon URL), or write the number: flocker.volume.KEY.each = 3",
		},
		{
			ID: "upgrade-strategy", Severity: Error, Mends: true, look: lookUpgrade,
			Finds: "an upgradeStrategy, given or Marathon's default, by which a new instance is started while the old one has the volume",
			Why: "With one instance Marathon kills the old one only after the new one is healthy, and the new one waits for the " +
				"volume that the old one has: the deployment never ends. That is so with both of Marathon's defaults, 1 and 1 of " +
				"most apps, 0.5 and 0 of those with external volumes.",
			Fix: "set both capacities to 0; for a volume set, maximumOverCapacity to 0 and minimumHealthCapacity to less than 1",
		},
		{
			ID: "all-at-once", Severity: Note, look: lookAllAtOnce,
			Finds: "a volume set whose minimumHealthCapacity is 0",
			Why:   "A deployment kills all instances at once.",
			Fix:   "set minimumHealthCapacity to 0.5, for example, to replace some after the others",
		},
		{
			ID: "single-instance", Severity: Warning, Mends: true, look: lookSingle,
			Finds: "labels ask for a volume, and MARATHON_SINGLE_INSTANCE_APP is missing or misspelt",
			Why: "With it Marathon itself refuses to scale the app, and any upgradeStrategy but 0 and 0, so that it is not locked " +
				"up by mistake. Of our labels it knows nothing.",
			Fix: `add the label "MARATHON_SINGLE_INSTANCE_APP": "true"`,
		},
		{
			ID: "unreachable-strategy", Severity: Warning, Mends: true, look: lookUnreachable,
			Finds: "an unreachableStrategy that keeps Marathon from starting the app elsewhere when its machine is lost",
			Why: "There is no need to wait: the new instance gets the volume only when it is certain that the old one cannot write any " +
				"more. And Marathon looks only every 10 minutes, so the time is longer than the one that is given.",
			Fix: "set inactiveAfterSeconds and expungeAfterSeconds to 0, Marathon's default",
		},
		{
			ID: "unhealthy-stays", Severity: Warning, Mends: true, look: lookHealth,
			Finds: "a health check of Marathon's own whose maxConsecutiveFailures is 0, with both capacities 0",
			Why: "Such a deployment kills instances that are well to make room for new ones. One that is not well has to end by itself, or by its health " +
				"check: else the deployment that is to mend it waits for ever.",
			Fix: "set maxConsecutiveFailures to 3, Marathon's default, or end the instance by hand when a deployment waits",
		},
		{
			ID: "resident", Severity: Warning, look: lookResident,
			Finds: "a persistent volume of Marathon's own beside one of Flocker's",
			Why: "It is on the disk of one machine, and Marathon keeps the app there: when the machine is lost the app starts nowhere else, " +
				"and Flocker's volume does not help. Its unreachableStrategy is then disabled by default.",
			Fix: "keep all that matters on volumes of Flocker's",
		},
		{
			ID: "backoff", Severity: Warning, Mends: true, look: lookBackoff,
			Finds: "a back-off that is more than a minute when a volume has been waited for during five",
			Why: "An instance that waits too long for its volume counts as failed, and Marathon delays the next one. " +
				"The volume is free long before it is tried again.",
			Fix: "set maxLaunchDelaySeconds to 60",
		},
		{
			ID: "dataset-twice", Severity: Error, look: lookDatasetTwice,
			Finds: "one app asks for one dataset twice, by a label and as an external volume",
			Why:   "A container has a volume once: it is refused.",
			Fix:   "keep one of both, or choose another name",
		},
		{
			ID: "name-twice", Severity: Error, look: lookNameTwice,
			Finds: "two apps whose ids become one default name, such as /a/b and /a.b",
			Why:   "A volume remembers the app that it is named after: the other app is refused.",
			Fix:   "set flocker.volume.KEY.name in one of them",
		},
		{
			ID: "dataset-shared", Severity: Error, look: lookShared,
			Finds: "two apps ask for one dataset, in whatever form, also to read it",
			Why: "Whoever comes second waits for as long as the first one runs, unless both are on one machine. Marathon sees that " +
				"for external volumes alone.",
			Fix: "give the volume another name in one of them, put both into one pod, or keep both on one machine by a constraint",
		},
		{
			ID: "zone", Severity: Error, Mends: true, look: lookZone,
			Finds: "constraints that keep the app away from the zone that its volume is in, or do not keep it there; volumes in different zones",
			Why:   "A volume can be attached in its zone alone: elsewhere the container is refused.",
			Fix:   `add a constraint for the zone, as in ["@zone", "IS", "us-east-1a"]`,
		},
		{
			ID: "absolute-path", Severity: Warning, look: lookAbsolute,
			Finds: "an absolute path in a container without an image",
			Why: "Such a container sees the machine's own files, so the volume is put below its sandbox instead: a program that writes " +
				"to the absolute path writes to the machine's disk, and leaves that behind when it moves.",
			Fix: "write a relative path, and use it from the program's working directory, or give the container an image",
		},
		{
			ID: "path-taken", Severity: Error, look: lookTaken,
			Finds: "a volume at the path of another volume, of Marathon's, or within one",
			Why:   "One of them hides the other: the app may write to the one that does not follow it.",
			Fix:   "give one of them another path",
		},
		{
			ID: "pod-volume", Severity: Error, look: lookPodVolume,
			Finds: "an external volume in a pod",
			Why:   "Marathon knows external volumes in apps alone, and refuses the pod.",
			Fix:   "ask by labels of the pod's containers",
		},
		{
			ID: "pod-labels", Severity: Note, look: lookPodLabels,
			Finds: "labels of a pod with several containers that ask for a volume",
			Why:   "A pod's labels go to all of its containers: each has the volume, and can write to it.",
			Fix:   "move the labels to the container that needs the volume",
		},
		{
			ID: "external-name", Severity: Error, Mends: true, look: lookExternalName,
			Finds: "an external volume whose driver or plugin is missing or almost Flocker's, or whose provider Marathon does not know",
			Why:   "Mesos asks another driver, or Marathon refuses the app: it never starts.",
			Fix:   `write "dvdi/driver": "flocker", or "pluginName": "csi.flocker.mesos"`,
		},
		{
			ID: "external-feature", Severity: Error, look: lookFeature,
			Finds: "an external volume, and a Marathon that has not switched them on",
			Why:   "Marathon refuses the app.",
			Fix:   "start Marathon with --enable_features external_volumes, or ask by labels, which need nothing",
		},
		{
			ID: "dvdi-mode", Severity: Error, look: lookDVDIMode,
			Finds: "a dvdi volume with a mode other than RW",
			Why:   "Marathon refuses it with the Mesos containerizer.",
			Fix:   "ask by labels, which can be read-only: flocker.volume.KEY.mode = ro",
		},
		{
			ID: "dvdi-shared", Severity: Warning, Mends: true, look: lookDVDIShared,
			Finds: "a dvdi volume that is shared",
			Why: "It takes away Marathon's own check that no two apps ask for one volume; the volume is on one machine at a time " +
				"all the same.",
			Fix: "remove shared",
		},
		{
			ID: "dvdi-options", Severity: Error, Mends: true, look: lookDVDIOptions,
			Finds: "an option of a dvdi volume that is refused, or that is dropped on its way",
			Why: "Marathon passes on options that begin with dvdi/ alone, and refuses names without a slash; dvdcli refuses what it does " +
				"not know.",
			Fix: "write dvdi/size, dvdi/fs, dvdi/profile, dvdi/preempt, dvdi/reclaim or dvdi/grace",
		},
		{
			ID: "csi-access", Severity: Error, Mends: true, look: lookCSIAccess,
			Finds: "a CSI volume without fsType, or one that asks for what Flocker does not give: several machines, a raw device, writing in a mode to read",
			Why:   "The plugin refuses the volume, or Marathon does, with the status 500 where fsType is missing: the app never starts.",
			Fix:   `write "accessMode": "SINGLE_NODE_WRITER", "accessType": "mount" and "fsType": "ext4"`,
		},
		{
			ID: "csi-options", Severity: Error, Mends: true, look: lookCSIOptions,
			Finds: "a setting of a CSI volume that is refused: in volumeContext, a file system, a mount flag",
			Why:   "The plugin refuses the volume: the task fails before it starts, and every one that Marathon starts after it.",
			Fix:   "write size, profile, fs, reclaim or grace in volumeContext, with values as in labels; everything else needs labels",
		},
		{
			ID: "csi-secrets", Severity: Note, look: lookCSISecrets,
			Finds: "a CSI volume with secrets",
			Why:   "Mesos drops them, and Flocker needs none.",
			Fix:   "remove them",
		},
		{
			ID: "file-system", Severity: Error, look: lookFileSystem,
			Finds: "another file system than the dataset has",
			Why:   "A volume with data is never formatted anew: the agent refuses the container.",
			Fix:   "ask for the one that it has, or leave the file system out, or choose another name",
		},
		{
			ID: "size", Severity: Note, look: lookSize,
			Finds: "another size than the dataset has",
			Why:   "The size in an app is for a volume that is made. One that exists stays as it is, and never becomes smaller.",
			Fix:   "write the size that it has, or make it larger: flocker volumes grow NAME SIZE",
		},
		{
			ID: "reclaim-unheard", Severity: Note, look: lookReclaim,
			Finds: "a volume that is to be deleted with its app, and a control service that does not follow Marathon",
			Why:   "Only a control service that follows Marathon hears that an app was destroyed: the volume stays.",
			Fix:   "have the control service follow Marathon (flocker control --marathon URL)",
		},
		{
			ID: "kill-grace", Severity: Warning, Mends: true, look: lookGrace,
			Finds: "a database, and no time between the request to end and the kill",
			Why: "It is killed while it writes, at every deployment and every move: it has to repair itself at the next start, " +
				"and what it had not written is lost.",
			Fix: "set it to 30 or more",
		},
		{
			ID: "launch-timeout", Severity: Warning,
			Finds: "a time limit of Mesos or Marathon that is shorter than what a container may wait for its volumes",
			Why:   "The launch is given up before the volume can be there, and before the cause of the wait is reported.",
			Fix: "make --executor_registration_timeout of the Mesos agents longer than the agents' wait-limit, and " +
				"--task_launch_timeout of Marathon longer than that",
		},
	}
}
