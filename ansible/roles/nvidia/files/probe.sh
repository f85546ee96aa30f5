# What role nvidia looks at first, as one JSON object. Reads only.
# NVIDIA_SYS, NVIDIA_MODULES: folders; NVIDIA_WANTED: packages, with spaces between.
there() { if [ -e "$1" ]; then echo true; else echo false; fi; }
has() { if command -v "$1" >/dev/null 2>&1; then echo true; else echo false; fi; }
# A display or 3D controller of NVIDIA's; its sound and its switches have other classes.
gpus=0
for device in "$NVIDIA_SYS"/bus/pci/devices/*; do
  [ "$(cat "$device/vendor" 2>/dev/null)" = 0x10de ] || continue
  case "$(cat "$device/class" 2>/dev/null)" in 0x03*) gpus=$((gpus + 1)) ;; esac
done
secure=false
for variable in "$NVIDIA_SYS"/firmware/efi/efivars/SecureBoot-*; do
  [ -e "$variable" ] || continue
  # Four bytes of attributes, then the value.
  [ "$(od -An -tu1 -j4 -N1 "$variable" | tr -d ' ')" = 1 ] && secure=true
done
loaded=$(head -c 40 "$NVIDIA_SYS/module/nvidia/version" 2>/dev/null | tr -cd '0-9.')
installed=
offered=
unknown=
# An epoch is none of a branch's business.
version() { printf '%s' "$1" | sed 's/^[0-9]*://; s/[^0-9.].*//'; }
if command -v dpkg-query >/dev/null 2>&1; then
  for pair in $(dpkg-query -W -f '${db:Status-Abbrev}=${Version}\n' 'nvidia-driver*' 'nvidia-kernel-*' 'nvidia-dkms-*' \
    'nvidia-headless-[0-9]*' 2>/dev/null | sed -n 's/^.i *=//p'); do
    installed="$installed,\"$(version "$pair")\""
  done
  for package in $NVIDIA_WANTED; do
    candidate=$(LC_ALL=C apt-cache policy "$package" 2>/dev/null | sed -n 's/^  Candidate: //p')
    case "$candidate" in
      '' | '(none)') unknown="$unknown,\"$package\"" ;;
      *) case "$package" in nvidia-container-toolkit) ;; *) offered="$offered,\"$(version "$candidate")\"" ;; esac ;;
    esac
  done
else
  for found in $(rpm -qa --qf '%{VERSION}\n' 'nvidia-driver*' 'kmod-nvidia*' 2>/dev/null); do
    installed="$installed,\"$(version "$found")\""
  done
  for package in $NVIDIA_WANTED; do
    case "$package" in
      @*) dnf -q module info "${package#@}" >/dev/null 2>&1 || unknown="$unknown,\"$package\"" ;;
      *) dnf -q info "$package" >/dev/null 2>&1 || unknown="$unknown,\"$package\"" ;;
    esac
  done
fi
printf '{"gpus": %d, "nouveau": %s, "secure_boot": %s, "headers": %s, "loaded": "%s", "installed": [%s], "offered": [%s], ' \
  "$gpus" "$(there "$NVIDIA_SYS/module/nouveau")" "$secure" "$(there "$NVIDIA_MODULES/$(uname -r)/build/.")" "$loaded" \
  "${installed#,}" "${offered#,}"
printf '"unknown": [%s], "own_installer": %s, "smi": %s, "ctk": %s, "unit": %s, "drop_ins": %s}\n' "${unknown#,}" \
  "$(there /usr/bin/nvidia-uninstall)" "$(has nvidia-smi)" "$(has nvidia-ctk)" \
  "$(there /etc/systemd/system/stackyard-nvidia.service)" "$(there /etc/docker/stackyard.d)"
