/**
 * The driver `rexray`: a pool is what a REX-Ray service (libStorage) has, or the part of it with one type and zone; an
 * object is a volume there. Volumes are devices, which Holdfast formats and mounts, or directories, where REX-Ray does.
 * Everything is told from what REX-Ray lists, asked anew for every call: it is used by others as well.
 */
import { HoldfastError } from '../model/errors.ts'
import { handleId } from '../model/fields.ts'
import { hasBlankEnds, makeReadOnly } from '../programs/block-device.ts'
import { checkObjectName } from '../programs/pool-paths.ts'
import { RexrayAttacher } from '../programs/rexray-attacher.ts'
import { RexrayCli } from '../programs/rexray-cli.ts'
import { DEVICE_TIMES, type DeviceTimes, mountsOf, RexrayDevices } from '../programs/rexray-devices.ts'
