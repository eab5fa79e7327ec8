package mesos

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// flags returns what the agent says about how it was started, by name.
func (a *Agent) flags() map[string]string {
	flags := maps.Clone(defaultFlags)
	c := a.config
	hierarchy, root := a.cgroups()
	maps.Copy(flags, map[string]string{
		"hostname": a.host.Name, "ip": a.host.Address, "work_dir": c.WorkDir, "cgroups_root": root, "cgroups_hierarchy": hierarchy,
		"executor_registration_timeout": duration(c.RegistrationTimeout), "modules": c.modules(),
		"isolation": "cgroups/cpu,cgroups/mem,filesystem/linux,docker/runtime,docker/volume,com_criteo_mesos_CommandIsolator",
	})
	if c.CSI != nil {
		flags["isolation"] = strings.Replace(flags["isolation"], "docker/volume", "docker/volume,volume/csi", 1)
	}
	if c.Username != "" {
		flags["authenticate_http_readonly"], flags["authenticate_http_readwrite"] = "true", "true"
		flags["http_credentials"] = "/etc/mesos/credentials.json"
	}
	maps.Copy(flags, c.Flags)
	return flags
}

// modules returns the configuration of the modules as the agent shows it, the text
// format of protobuf.
func (c Config) modules() string {
	var b strings.Builder
	parameter := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "    parameters {\n      key: %q\n      value: %q\n    }\n", key, value)
		}
	}
	b.WriteString("libraries {\n  file: \"/usr/lib/libmesos_command_modules.so\"\n  modules {\n    name: \"com_criteo_mesos_CommandIsolator\"\n")
	parameter("module_name", c.ModuleName)
	parameter("isolator_prepare_command", c.Commands.Prepare)
	parameter("isolator_isolate_command", c.Commands.Isolate)
	parameter("isolator_cleanup_command", c.Commands.Cleanup)
	b.WriteString("  }\n}\n")
	return b.String()
}

// duration writes a time as Mesos does.
func duration(d time.Duration) string {
	switch {
	case d%time.Minute == 0:
		return fmt.Sprintf("%dmins", d/time.Minute)
	case d%time.Second == 0:
		return fmt.Sprintf("%dsecs", d/time.Second)
	default:
		return fmt.Sprintf("%dms", d/time.Millisecond)
	}
}

// defaultFlags are those of the recorded agent that do not follow from a Config.
var defaultFlags = map[string]string{
	"appc_simple_discovery_uri_prefix":       "http://",
	"appc_store_dir":                         "/tmp/mesos/store/appc",
	"authenticate_http_readonly":             "false",
	"authenticate_http_readwrite":            "false",
	"authenticatee":                          "crammd5",
	"authentication_backoff_factor":          "1secs",
	"authentication_timeout_max":             "1mins",
	"authentication_timeout_min":             "5secs",
	"authorizer":                             "local",
	"cgroups_cpu_enable_pids_and_tids_count": "false",
	"cgroups_destroy_timeout":                "1mins",
	"cgroups_enable_cfs":                     "false",
	"cgroups_limit_swap":                     "false",
	"container_disk_watch_interval":          "15secs",
	"containerizers":                         "mesos",
	"csi_plugin_config_dir":                  "/etc/mesos/csi",
	"default_role":                           "*",
	"disallow_sharing_agent_ipc_namespace":   "false",
	"disallow_sharing_agent_pid_namespace":   "false",
	"disk_watch_interval":                    "1mins",
	"docker":                                 "docker",
	"docker_ignore_runtime":                  "false",
	"docker_kill_orphans":                    "true",
	"docker_registry":                        "https://registry-1.docker.io",
	"docker_remove_delay":                    "6hrs",
	"docker_socket":                          "/var/run/docker.sock",
	"docker_stop_timeout":                    "0ns",
	"docker_store_dir":                       "/tmp/mesos/store/docker",
	"docker_volume_checkpoint_dir":           "/var/run/mesos/isolators/docker/volume",
	"docker_volume_chown":                    "false",
	"enforce_container_disk_quota":           "false",
	"executor_reregistration_timeout":        "2secs",
	"executor_shutdown_grace_period":         "5secs",
	"fetcher_cache_dir":                      "/tmp/mesos/fetch",
	"fetcher_cache_size":                     "2GB",
	"fetcher_stall_timeout":                  "1mins",
	"frameworks_home":                        "",
	"gc_delay":                               "1weeks",
	"gc_disk_headroom":                       "0.1",
	"gc_non_executor_container_sandboxes":    "false",
	"help":                                   "false",
	"hostname_lookup":                        "true",
	"http_command_executor":                  "false",
	"http_executor_domain_sockets":           "false",
	"http_heartbeat_interval":                "30secs",
	"image_providers":                        "docker",
	"initialize_driver_logging":              "true",
	"launcher":                               "linux",
	"launcher_dir":                           "/usr/libexec/mesos",
	"logbufsecs":                             "0",
	"logging_level":                          "INFO",
	"master":                                 "192.0.2.1:5050",
	"max_completed_executors_per_framework":  "150",
	"memory_profiling":                       "false",
	"network_cni_metrics":                    "true",
	"network_cni_root_dir_persist":           "false",
	"oversubscribed_resources_interval":      "15secs",
	"perf_duration":                          "10secs",
	"perf_interval":                          "1mins",
	"port":                                   "5051",
	"qos_correction_interval_min":            "0ns",
	"quiet":                                  "false",
	"reconfiguration_policy":                 "equal",
	"recover":                                "reconnect",
	"recovery_timeout":                       "15mins",
	"registration_backoff_factor":            "1secs",
	"resources":                              "cpus:16;mem:16000;disk:20000;ports:[31000-32000,5432-5432,10000-20000]",
	"revocable_cpu_low_priority":             "true",
	"runtime_dir":                            "/run/mesos",
	"sandbox_directory":                      "/mnt/mesos/sandbox",
	"strict":                                 "true",
	"switch_user":                            "true",
	"systemd_enable_support":                 "false",
	"systemd_runtime_directory":              "/run/systemd/system",
	"version":                                "false",
	"zk_session_timeout":                     "10secs",
}
