import {
  BadSpecification,
  type Endpoint,
  locate as locatePlugin,
  type PluginDirectories,
} from '../../docker-plugin/discovery.ts'
import { quote } from '../../model/units.ts'
import { failed, usage } from './failure.ts'

/** Looks where Docker does. @throws Failure for a specification that cannot be used */
export function locate(driver: string, directories: PluginDirectories): Endpoint | undefined {
  try {
    return locatePlugin(driver, directories)
  } catch (thrown) {
    throw thrown instanceof BadSpecification ? failed(thrown.message) : thrown
  }
}

/** @throws Failure with exit code 2 for a name that no plugin in a folder can have */
export function checkDriver(driver: string): void {
  if (/[/\0]/.test(driver) || driver === '.' || driver === '..') {
    throw usage(
      `driver ${quote(driver)}: a plugin is named by a file without "/"; Docker's managed plugins are not reached`,
    )
  }
}
