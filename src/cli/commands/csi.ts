import type { Command } from 'commander'
import { HoldfastError } from '../../model/errors.ts'
import { LEVELS, logTo, readText, settings, stay } from './daemons.ts'
import { oneOf } from './options.ts'

export function defineCsi(noun: Command): void {
  noun
    .command('controller')
    .description("run CSI's controller services in the foreground, apart from any node; TERM ends it")
    .option('--socket <path>', 'its unix socket')
    .option('--role <role...>', 'roles that its callers act for; the first is the default')
    .option('--pool <pool>', 'pool of volumes whose parameters name none')
    .option('--fs <filesystem>', 'filesystem of mounted volumes that ask for none')
    .addOption(oneOf('--log <level>', 'how much is logged', LEVELS))
    .action(async function (this: Command) {
      const loaded = await settings(this.optsWithGlobals<Record<string, unknown>>(), 'csi', {
        api: 'api',
        tokenFile: 'tokenFile',
        socket: 'socket',
        role: 'roles',
        pool: 'pool',
        fs: 'fs',
        log: 'log',
      })
      const { tokenFile, ca, log: level, ...options } = loaded.config.csi
      if (tokenFile === undefined) {
        throw new HoldfastError('invalid_option', "give an operator's token: --token-file FILE, or csi.tokenFile")
      }
      const token = readText(loaded, 'csi.tokenFile', tokenFile).trim()
      const authority = ca === undefined ? {} : { ca: readText(loaded, 'csi.ca', ca) }
      const { runCsiController } = await import('../run-csi-controller.ts')
      await stay(runCsiController({ ...options, ...authority, token, log: await logTo(level) }))
    })
}
